#!/usr/bin/env node
// A command for `fenfa worker --exec` that says how far it is, and asks for more time.
import { readFileSync, writeSync } from "node:fs";

const task = JSON.parse(readFileSync(0, "utf8"));
const tell = (news) => writeSync(Number(process.env.FENFA_PROGRESS_FD), JSON.stringify(news) + "\n");
const { pages } = task.payload;
for (let page = 1; page <= pages; page++) {
  tell({ ratio: page / pages, text: `page ${page}`, extend: "1m" });
}
console.log(`${pages} pages`);
