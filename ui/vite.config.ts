import { fileURLToPath } from "node:url";
import { defineConfig } from "vite";

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

export default defineConfig({
  // Wherever Airflow is served: the page finds its parts beside itself.
  base: "./",
  resolve: { alias: { "@airflow-xtended/client": here("../clients/typescript/src/index.ts") } },
  build: {
    outDir: here("../src/xtended/web"),
    emptyOutDir: true,
    target: "es2022",
    license: { fileName: "licenses.md" },
    rollupOptions: { input: [here("deployments.html"), here("swagger.html")] },
    // Swagger UI is one file of over a megabyte, loaded by the page that needs all of it.
    chunkSizeWarningLimit: 2000,
    // A strict Content-Security-Policy takes no data: scripts, and the page needs no inlined parts.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
});
