// The same as tests/real/relay_client.py, on Node; the fourth argument is the folder of the playwright-core to use.
import fs from "node:fs";
import path from "node:path";
import { createRequire } from "node:module";

const [address, site, folder, library] = process.argv.slice(2);
const { firefox } = createRequire(import.meta.url)(library);

async function refusal(page, what) {
  try {
    if (what === "file") await page.goto("file:///etc/hostname");
    else if (what === "request") await page.context().request.get(site);
    else if (what === "close") await page.close();
    else if (what === "context") await page.context().browser().newContext();
  } catch (error) {
    return error.message.split("\n")[0];
  }
  return "";
}

async function use(browser) {
  const seen = {};
  const context = browser.contexts()[0];
  const page = context.pages()[0];
  await page.goto(`${site}/workshop`);
  await page.fill("#caption", "hello");
  await page.locator("#story").pressSequentially("once");
  await page.selectOption("#audience", "friends");
  await page.check("#comments");
  await page.hover("#hover");
  seen["said"] = await page.locator("#said").innerText();
  page.on("dialog", (dialog) => dialog.accept("Zoe"));
  await page.click("#prompt");
  seen["dialog"] = await page.locator("#said").innerText();
  const [download] = await Promise.all([page.waitForEvent("download"), page.click("#download")]);
  await download.saveAs(path.join(folder, "notes.txt"));
  seen["download"] = fs.readFileSync(path.join(folder, "notes.txt"), "utf8");
  const [tab] = await Promise.all([page.waitForEvent("popup"), page.click("#tab")]);
  await tab.click("#inner");
  seen["tab"] = await tab.locator("#said").innerText();
  await tab.close();
  const second = await context.newPage();
  await second.goto(`${site}/workshop/frame`);
  seen["pages"] = context.pages().length;
  await second.close();
  await context.tracing.start({ snapshots: true });
  await page.reload();
  await context.tracing.stop({ path: path.join(folder, "trace.zip") });
  seen["trace"] = fs.readFileSync(path.join(folder, "trace.zip")).subarray(0, 2).toString();
  await page.route("**/workshop/echo", (route) => route.fulfill({ body: "routed" }));
  seen["route"] = await page.evaluate(() => fetch("/workshop/echo").then((answer) => answer.text()));
  seen["picture"] = (await page.screenshot()).subarray(1, 4).toString();
  const { cookies } = await context.storageState();
  seen["logged in"] = cookies.some((cookie) => cookie.name === "sessionid");
  const [small, large] = ["small.txt", "large.bin"].map((name) => path.join(folder, name));
  fs.writeFileSync(small, "small");
  fs.writeFileSync(large, Buffer.alloc(60 << 20));
  await page.setInputFiles("#file", [small, large]);
  seen["chosen"] = await page.evaluate(() =>
    [...document.getElementById("file").files].map((file) => [file.name, file.size]),
  );
  await page.setInputFiles("#file", small);
  await page.click("#post");
  seen["upload"] = await page.getByText(" bytes)").innerText();
  seen["refused"] = [];
  for (const what of ["file", "request", "close", "context"]) seen["refused"].push(await refusal(page, what));
  return seen;
}

let browser = await firefox.connect(address);
const seen = await use(browser);
const other = await firefox.connect(address);
seen["two at once"] = other.contexts()[0].pages()[0].url() === browser.contexts()[0].pages()[0].url();
await other.close();
await browser.close();
browser = await firefox.connect(address);
seen["back again"] = await browser.contexts()[0].pages()[0].title();
console.log(JSON.stringify(seen));
await browser.close();
