import { logConformance } from "../../conformance/log.ts";
import { newFolder, openAt } from "./journal-kit.ts";

logConformance("SQLite", () => openAt(newFolder()));
