// Writes the page into the folder that is given, by default `dist`. Other files of the folder, such as the model, stay.
import { copyFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { join } from "node:path";
import { build } from "esbuild";

const here = fileURLToPath(new URL(".", import.meta.url));
const output = process.argv[2] ?? join(here, "dist");

await build({
  absWorkingDir: here,
  entryPoints: ["src/worker.js"],
  outdir: output,
  bundle: true,
  format: "esm",
  minify: true,
});
for (const name of ["index.html", "style.css", "main.js"]) {
  copyFileSync(join(here, "src", name), join(output, name));
}
const runtime = "ort-wasm-simd-threaded.wasm"; // onnxruntime-web looks for it beside the script
copyFileSync(join(here, "node_modules/onnxruntime-web/dist", runtime), join(output, runtime));
