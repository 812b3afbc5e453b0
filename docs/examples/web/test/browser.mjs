// Opens the page in headless Chromium with several models and image files, and checks what it answers.
//
// node test/browser.mjs CASES.json, where CASES.json has the keys
//   chromium: path of the browser;
//   classified: for each page folder, for each image file, the expected probability of each class that is shown;
//   refused: for each page folder, for each image file, words of the expected message;
//   unusable: for each page folder, words of the message about its model.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { basename, extname, join } from "node:path";
import { chromium } from "playwright-core";

const CONTENT_TYPES = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".wasm": "application/wasm" };
const FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"];
const TOLERANCE = 1e-3;

const cases = JSON.parse(readFileSync(process.argv[2], "utf8"));
const server = createServer((request, response) => {
  const [folder, name] = request.url.slice(1).split("/").map(decodeURIComponent);
  const file = name || "index.html";
  try {
    const content = readFileSync(join(folder, file));
    response.setHeader("Content-Type", CONTENT_TYPES[extname(file)] ?? "application/octet-stream");
    response.end(content);
  } catch {
    response.writeHead(404).end();
  }
});
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
const origin = `http://127.0.0.1:${server.address().port}`;
const browser = await chromium.launch({ executablePath: cases.chromium, args: [...FLAGS, "--disable-sync"] });
const context = await browser.newContext();
const elsewhere = []; // requests that leave the page's own server
context.on("request", (request) => {
  if (!RegExp(`^(${origin}/|data:|blob:)`).test(request.url())) elsewhere.push(request.url());
});
context.setDefaultTimeout(20_000);

async function open(folder) {
  const page = await context.newPage();
  await page.goto(`${origin}/${encodeURIComponent(folder)}/`);
  return page;
}

async function openWithModel(folder) {
  const page = await open(folder);
  await page.locator("#file:enabled").waitFor();
  return page;
}

async function choose(page, path) {
  await page.locator("#file").setInputFiles(path);
}

async function drop(page, path) {
  const dataTransfer = await page.evaluateHandle(
    ([name, content]) => {
      const transfer = new DataTransfer();
      const bytes = Uint8Array.from(atob(content), (character) => character.charCodeAt(0));
      transfer.items.add(new File([bytes], name));
      return transfer;
    },
    [basename(path), readFileSync(path, "base64")],
  );
  await page.dispatchEvent("#drop", "drop", { dataTransfer });
}

async function checkClasses(page, image, expected) {
  const { error, classes } = await read(page);
  assert.equal(error, null);
  assert.equal(Object.keys(classes).length, Math.min(5, Object.keys(expected).length));
  for (const [name, probability] of Object.entries(classes)) {
    const difference = Math.abs(probability - expected[name]);
    assert.ok(difference < TOLERANCE, `${image}, ${name}: ${probability}, expected ${expected[name]}`);
  }
}

async function read(page) {
  await page.locator("#result, #error").filter({ visible: true }).waitFor();
  return page.evaluate(() => ({
    error: document.querySelector("#error").hidden ? null : document.querySelector("#error").textContent,
    classes: Object.fromEntries(
      [...document.querySelectorAll("#classes tr")].map((row) => [
        row.querySelector("th").textContent,
        Number(row.querySelector("data").value),
      ]),
    ),
  }));
}

try {
  for (const [folder, images] of Object.entries(cases.classified)) {
    const page = await openWithModel(folder);
    for (const [image, expected] of Object.entries(images)) {
      for (const give of [choose, drop]) {
        await give(page, image);
        await checkClasses(page, image, expected);
      }
    }
    await page.close();
  }
  for (const [folder, images] of Object.entries(cases.refused)) {
    const page = await openWithModel(folder);
    for (const [image, words] of Object.entries(images)) {
      await choose(page, image);
      assert.match((await read(page)).error ?? "", RegExp(words));
      assert.ok(await page.locator("#result").isHidden());
    }
    await page.close();
  }
  for (const [folder, words] of Object.entries(cases.unusable)) {
    const page = await open(folder);
    assert.match((await read(page)).error, RegExp(words));
    assert.ok(await page.locator("#file").isDisabled());
    await page.close();
  }
  assert.deepEqual(elsewhere, []);
} finally {
  await browser.close();
  server.close();
}
