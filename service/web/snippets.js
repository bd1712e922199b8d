/** The request that was made, for a terminal or a program. A key is named, never written out. */

import { address, key } from "./api.js";

const LANGUAGES = { curl, Python: python, JavaScript: javascript };

export const languages = Object.keys(LANGUAGES);

/** `sent`: as `predict` is given it. */
export function snippet(language, { name, query = "", type, body, file }) {
  const url = address(`predict/${name}${query}`);
  return LANGUAGES[language]({ url, type, body, file, secret: key() !== "" });
}

function curl({ url, type, body, file, secret }) {
  const lines = [`curl ${shell(url)}`, `-H ${shell(`Content-Type: ${type}`)}`];
  if (secret) lines.push('-H "Authorization: Bearer $ABACUS_KEY"');
  lines.push(file ? `--data-binary ${shell(`@${file}`)}` : `-d ${shell(body)}`);
  return lines.join(" \\\n  ");
}

function python({ url, type, body, file, secret }) {
  const bearer = `"Authorization": f"Bearer {os.environ['ABACUS_KEY']}"`;
  const imports = secret ? "import os\n\nimport httpx\n\n" : "import httpx\n\n";
  if (!file) {
    const headers = secret ? `, headers={${bearer}}` : "";
    return `${imports}response = httpx.post(${JSON.stringify(url)}, json=${pythonValue(JSON.parse(body))}${headers})\n${ENDING}`;
  }
  const headers = [`"Content-Type": ${JSON.stringify(type)}`, ...(secret ? [bearer] : [])].join(", ");
  return (
    `${imports}with open(${JSON.stringify(file)}, "rb") as picture:\n` +
    `    response = httpx.post(\n        ${JSON.stringify(url)},\n        content=picture.read(),\n` +
    `        headers={${headers}},\n    )\n${ENDING}`
  );
}

const ENDING = "response.raise_for_status()\nprint(response.json())";

function javascript({ url, type, body, file, secret }) {
  const headers = [`"Content-Type": ${JSON.stringify(type)}`];
  if (secret) headers.push("Authorization: `Bearer ${process.env.ABACUS_KEY}`");
  const reading = file ? 'import { readFile } from "node:fs/promises";\n\n' : "";
  const content = file ? `await readFile(${JSON.stringify(file)})` : `JSON.stringify(${body})`;
  return (
    `${reading}const response = await fetch(${JSON.stringify(url)}, {\n  method: "POST",\n` +
    `  headers: { ${headers.join(", ")} },\n  body: ${content},\n});\n` +
    "if (!response.ok) throw new Error((await response.json()).detail);\nconsole.log(await response.json());"
  );
}

/** Quoted for a POSIX shell. */
function shell(text) {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

function pythonValue(value) {
  if (value === null) return "None";
  if (Array.isArray(value)) return `[${value.map(pythonValue).join(", ")}]`;
  if (typeof value !== "object") return JSON.stringify(value);
  return `{${Object.entries(value).map(([name, one]) => `${JSON.stringify(name)}: ${pythonValue(one)}`).join(", ")}}`;
}
