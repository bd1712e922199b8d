import { openAsBlob } from "node:fs";

const form = new FormData();
form.append("file", await openAsBlob("7.png", { type: "image/png" }), "7.png");
const response = await fetch("http://127.0.0.1:8000/predict", { method: "POST", body: form });
if (!response.ok) throw new Error(await response.text());
const answer = (await response.json()) as { digit: number };
console.log(answer.digit);
