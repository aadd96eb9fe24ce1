const system = window.matchMedia("(prefers-color-scheme: dark)");

/** What Airflow's own pages keep of the theme: Airflow 3 as a word, Airflow 2 as a flag. Else the system's. */
function isDark(): boolean {
  const word = localStorage.getItem("theme")?.replaceAll('"', "");
  if (word === "light" || word === "dark") return word === "dark";
  const flag = localStorage.getItem("darkTheme");
  return flag === null ? system.matches : flag === "true";
}

/** Light or dark as Airflow is, also when that changes. Swagger UI goes by the same class. */
export function followAirflowsTheme(): void {
  const apply = (): void => {
    document.documentElement.classList.toggle("dark-mode", isDark());
  };
  apply();
  window.addEventListener("storage", apply);
  system.addEventListener("change", apply);
}
