// What the page can do beyond being read: open what a link points into, sort and filter tables, tell where a number comes from.
// It works without any of this. Data is only ever put into text, never into markup.
"use strict";

function reveal() {
  const id = decodeURIComponent(location.hash.slice(1));
  const target = id && document.getElementById(id);
  if (!target || target.popover) return;
  if (target instanceof HTMLDetailsElement) target.open = true;
  for (let block = target.closest("details"); block; block = block.parentElement.closest("details")) block.open = true;
  target.scrollIntoView({ block: "center" });
}

// A click sorts the best first, the next one the other way round, the third restores the paper's order. Groups of rows stay together.
function makeSortable(table) {
  const groups = [...table.tBodies].map((body) => ({ body, rows: [...body.rows].filter((row) => row.dataset.status !== undefined) }));
  const columns = [...table.tHead.rows[1].cells].filter((cell) => cell.scope === "col");
  const heads = [table.tHead.rows[0].cells[0], ...columns].filter((cell) => cell.dataset.sort);
  for (const head of heads) {
    const label = head.querySelector(".label");
    const button = document.createElement("button");
    button.type = "button";
    button.className = "sort";
    label.replaceWith(button);
    button.append(label);
    button.addEventListener("click", () => {
      const next = { none: "best", best: "worst", worst: "none" }[head.dataset.order || "none"];
      for (const other of heads) {
        delete other.dataset.order;
        other.removeAttribute("aria-sort");
      }
      head.dataset.order = next;
      const rising = (head.dataset.sort !== "higher") === (next === "best");
      if (next !== "none") head.setAttribute("aria-sort", rising ? "ascending" : "descending");
      const at = head.dataset.sort === "text" ? -1 : columns.indexOf(head);
      for (const { body, rows } of groups) body.append(...(next === "none" ? rows : sorted(rows, at, rising)));
    });
  }
}

function sorted(rows, at, rising) {
  const key = (row) => {
    if (at < 0) return row.cells[0].textContent.trim().toLowerCase();
    const text = row.cells[at + 1].dataset.value;
    return text === "" ? null : Number(text);
  };
  const sign = rising ? 1 : -1;
  return [...rows].sort((left, right) => {
    const [a, b] = [key(left), key(right)];
    if (a === null || b === null) return (a === null) - (b === null); // what has no value stands last either way
    return a < b ? -sign : a > b ? sign : 0;
  });
}

// Filters hide rows, and tables without a row that is shown; what was chosen stands in the address.
function makeFilters(form) {
  const rows = [...document.querySelectorAll("#tables table.papers tr[data-status]")];
  const sections = [...document.querySelectorAll("#tables > details")];
  const begin = new URLSearchParams(location.hash.startsWith("#filter?") ? location.hash.slice("#filter?".length) : "");
  const apply = () => {
    const values = new FormData(form);
    const [text, statuses] = [values.get("network").trim().toLowerCase(), values.getAll("status")];
    const active = Boolean(text || statuses.length || values.has("own"));
    let shown = 0;
    for (const row of rows) {
      const held = row.dataset.status.split(" ");
      const fits = `${row.cells[0].textContent} ${row.dataset.model || ""}`.toLowerCase().includes(text)
        && (!statuses.length || statuses.some((status) => held.includes(status)))
        && (!values.has("own") || row.classList.contains("own"));
      row.hidden = !fits;
      shown += fits;
    }
    for (const head of document.querySelectorAll("#tables tr.group")) {
      head.hidden = ![...head.parentElement.rows].some((row) => row !== head && !row.hidden);
    }
    for (const section of sections) {
      const some = [...section.querySelectorAll("tr[data-status]")].some((row) => !row.hidden);
      section.hidden = !some;
      section.open = active ? some : "open" in section.dataset;
    }
    form.querySelector("output").textContent = active ? `${shown} of ${rows.length} rows` : "";
    const words = new URLSearchParams([...values].filter(([, value]) => value));
    if (active) history.replaceState(null, "", `#filter?${words}`);
    else if (location.hash.startsWith("#filter?")) history.replaceState(null, "", "#tables");
  };
  for (const [name, value] of begin) {
    const field = [...form.elements].find((one) => one.name === name && (one.type !== "checkbox" || one.value === value));
    if (field && field.type === "checkbox") field.checked = true;
    else if (field) field.value = value;
  }
  form.addEventListener("input", apply);
  form.addEventListener("reset", () => setTimeout(apply));
  form.addEventListener("submit", (event) => event.preventDefault());
  form.hidden = false;
  if ([...begin].length) {
    apply();
    form.scrollIntoView();
  }
}

// The browser opens a number's card when it is pressed; here it is placed beside the number, told which cell it is about, and opened by hovering.
function makeCards() {
  let waiting = 0;
  const place = (button, card) => {
    const cell = button.closest("td");
    const headings = [...cell.closest("table").tHead.rows[1].cells].filter((head) => head.scope === "col");
    const head = headings[cell.cellIndex - 1];
    const words = (node) => node ? node.textContent.replace(/\s+/g, " ").trim() : "";
    const parts = [words(cell.closest("tr").cells[0].firstChild), words(head && head.querySelector(".label"))];
    const printed = cell.querySelector(".printed .number");
    if (printed) parts.push(`printed ${words(printed)}`);
    parts.push(words(button));
    if (cell.querySelector(".verdict")) parts.push(words(cell.querySelector(".verdict")));
    card.querySelector("[data-cell]").textContent = parts.join(" · ");
    const at = button.getBoundingClientRect();
    const [width, height] = [card.offsetWidth, card.offsetHeight];
    const below = at.bottom + 6 + height <= innerHeight || at.top < height;
    card.style.left = `${Math.max(8, Math.min(at.left, innerWidth - width - 8))}px`;
    card.style.top = `${below ? Math.min(at.bottom + 6, Math.max(8, innerHeight - height - 8)) : at.top - height - 6}px`;
  };
  for (const button of document.querySelectorAll("button[popovertarget]")) {
    const card = document.getElementById(button.getAttribute("popovertarget"));
    if (!card) continue;
    button.addEventListener("click", () => { clearTimeout(waiting); setTimeout(() => place(button, card)); }); // a press decides: no hover opens it again
    button.addEventListener("mouseenter", () => {
      waiting = setTimeout(() => { if (!card.matches(":popover-open")) { card.showPopover(); place(button, card); card.dataset.hovering = "yes"; } }, 250);
    });
    const leave = () => {
      clearTimeout(waiting);
      waiting = setTimeout(() => {
        if (card.dataset.hovering && !card.matches(":hover") && !button.matches(":hover")) card.hidePopover();
      }, 200);
    };
    button.addEventListener("mouseleave", leave);
    if (!card.dataset.ready) {
      card.dataset.ready = "yes";
      card.addEventListener("mouseleave", leave);
      card.addEventListener("toggle", (event) => { if (event.newState === "closed") delete card.dataset.hovering; });
      for (const link of card.querySelectorAll("a")) link.addEventListener("click", () => card.hidePopover());
    }
  }
}

// Where a table is wider than the screen, what was measured here is moved beside the names; the printed columns are a swipe away.
function showMeasured(table) {
  const scroll = table.closest(".scroll");
  const move = () => {
    const head = table.querySelector("thead th.retrained:not(.group)") || table.querySelector("tbody .found button")?.closest("td");
    const name = table.querySelector("thead .name");
    if (!head || scroll.scrollWidth <= scroll.clientWidth || innerWidth > 640) return;
    scroll.scrollLeft += head.getBoundingClientRect().left - name.getBoundingClientRect().right;
  };
  const fold = table.closest("details");
  if (fold && !fold.open) fold.addEventListener("toggle", move, { once: true });
  else move();
}

addEventListener("hashchange", reveal);
addEventListener("DOMContentLoaded", () => {
  document.querySelectorAll("table.papers").forEach(makeSortable);
  document.querySelectorAll("table.papers").forEach(showMeasured);
  document.querySelectorAll("form.filters").forEach(makeFilters);
  makeCards();
  document.querySelectorAll(".scroll > table.results").forEach(makeTools);
  document.querySelectorAll("code.command").forEach(makeCopy);
  document.querySelectorAll("main section[id] > h2:not(.sr)").forEach(makeAnchor);
  reveal();
});
addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((block) => { block.open = true; }));
