import { followAirflowsTheme } from "./theme.ts";
import "./deploy-panel.ts";
import "./history-panel.ts";
import "./syncs-panel.ts";

followAirflowsTheme();
