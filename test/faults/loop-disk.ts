/** A disk whose power can be cut: an ext4 file system in a file. What the kernel has not yet written to it is lost. */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface Disk {
  /** As of this moment; what was written and not synced is not in it. */
  copy(): void;
  /** The disk comes back as it was when it was copied. Nobody may have a file open on it. */
  powerLoss(): void;
  /** Unmounts it, and removes it. */
  remove(): void;
}

const MEMORY = "/dev/shm";

/** Makes `folder` a disk of its own of `bytes`. Needs root, loop devices and e2fsprogs; says so where it can't. */
export function mountLoopDisk(folder: string, bytes: number): Disk {
  // The image itself is no matter of the run; in memory a cycle takes half of the time.
  const place = mkdtempSync(join(existsSync(MEMORY) ? MEMORY : tmpdir(), "leat-disk-"));
  const [image, copied] = [join(place, "image"), join(place, "copy")];
  writeFileSync(image, "");
  truncateSync(image, bytes);
  needs(() => {
    command("mkfs.ext4", "-q", "-F", image);
    mkdirSync(folder, { recursive: true });
    mount();
  }, "root, loop devices and e2fsprogs");

  /** Nothing reaches the image but by an fsync: not by a timer either, while it is copied. */
  function mount(): void {
    command("mount", "-o", "loop,commit=300", image, folder);
  }

  return {
    copy: () => void command("cp", "--sparse=always", image, copied),
    powerLoss() {
      command("umount", folder);
      renameSync(copied, image);
      // Replays the file system's own journal, as the boot after a power cut does; 1: it has mended something.
      command("sh", "-c", 'e2fsck -fp "$0" || [ $? -eq 1 ]', image);
      mount();
    },
    remove() {
      unmount(folder);
      rmSync(place, { recursive: true, force: true });
    },
  };
}

/** Makes `folder` a file system in memory of `bytes`. Returns what unmounts it. Needs root. */
export function mountMemory(folder: string, bytes: number): () => void {
  needs(() => {
    mkdirSync(folder, { recursive: true });
    command("mount", "-t", "tmpfs", "-o", `size=${bytes},mode=700`, "tmpfs", folder);
  }, "root");
  return () => unmount(folder);
}

function unmount(folder: string): void {
  if (existsSync(folder)) command("sh", "-c", 'umount "$0" || umount -l "$0"', folder);
}

function command(file: string, ...args: string[]): string {
  return execFileSync(file, args, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
}

/** These runs are never left out in silence: where they can't be made they fail, and say what they need. */
function needs(work: () => void, what: string): void {
  try {
    work();
  } catch (cause) {
    throw new Error(`This fault run needs ${what}.`, { cause });
  }
}
