import { ledgerConformance } from "../../conformance/ledger.ts";
import { newFolder, openAt } from "./journal-kit.ts";

ledgerConformance("SQLite", () => openAt(newFolder()));
