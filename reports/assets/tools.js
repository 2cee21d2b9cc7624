// What can be taken from the page: a table as CSV or LaTeX, a command as text.
"use strict";

// A table as lines of text, one a row; what is for eyes alone is left out, and columns that are spanned are filled.
function linesOf(table) {
  const words = (cell) => {
    const copy = cell.cloneNode(true);
    for (const hidden of copy.querySelectorAll("[aria-hidden], .status, sup")) hidden.remove();
    for (const part of copy.querySelectorAll("small, div")) part.before(" ");
    return copy.textContent.replace(/\s+/g, " ").trim();
  };
  const open = []; // cells that reach down into the next rows: column, how many rows are left
  return [...table.rows].filter((row) => !row.hidden).map((row) => {
    const line = [];
    const cells = [...row.cells];
    while (cells.length || open[line.length]) {
      const at = line.length;
      if (open[at]) {
        open[at] -= 1;
        line.push("");
        continue;
      }
      const cell = cells.shift();
      line.push(words(cell), ...Array(cell.colSpan - 1).fill(""));
      if (cell.rowSpan > 1) open[at] = cell.rowSpan - 1;
    }
    return line;
  });
}

const quote = (text) => /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
const escapes = { "\\": "\\textbackslash{}", "&": "\\&", "%": "\\%", "$": "\\$", "#": "\\#", "_": "\\_", "{": "\\{", "}": "\\}", "~": "\\textasciitilde{}", "^": "\\textasciicircum{}" };
const escaped = (text) => text.replace(/[\\&%$#_{}~^]/g, (letter) => escapes[letter]).replaceAll("−", "$-$");

const FORMATS = {
  CSV: (lines) => lines.map((line) => line.map(quote).join(",")).join("\r\n") + "\r\n",
  LaTeX: (lines) => [
    `\\begin{tabular}{l${"r".repeat(Math.max(...lines.map((line) => line.length)) - 1)}}`,
    ...lines.map((line) => `${line.map(escaped).join(" & ")} \\\\`),
    "\\end{tabular}", "",
  ].join("\n"),
};

async function toClipboard(button, text) {
  const before = button.textContent;
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "copied";
  } catch {
    button.textContent = "the browser does not allow it";
  }
  setTimeout(() => { button.textContent = before; }, 1500);
}

function makeTools(table) {
  const bar = document.createElement("div");
  bar.className = "tools";
  for (const [name, format] of Object.entries(FORMATS)) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = `copy as ${name}`;
    button.addEventListener("click", () => toClipboard(button, format(linesOf(table))));
    bar.append(button);
  }
  const paper = table.closest("details.paper");
  if (paper) bar.append(makeLink(paper.id, "link to this table"));
  table.closest(".scroll").after(bar);
}

function makeLink(id, text) {
  const link = document.createElement("a");
  link.href = `#${id}`;
  link.textContent = text;
  return link;
}

// A heading's link to its own section, to be copied.
function makeAnchor(heading) {
  const link = makeLink(heading.parentElement.id, "#");
  link.className = "anchor";
  link.setAttribute("aria-label", `Link to “${heading.textContent.trim()}”`);
  heading.append(" ", link);
}

function makeCopy(command) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "copy";
  button.textContent = "copy";
  button.setAttribute("aria-label", `copy: ${command.textContent}`);
  button.addEventListener("click", () => toClipboard(button, command.textContent));
  command.after(button);
}
