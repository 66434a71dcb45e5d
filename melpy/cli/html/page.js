"use strict";
// The data: see melpy/cli/page.py. Everything from outside gets into the page as text, never as markup.
const data = JSON.parse(document.getElementById("data").textContent);
const OUTCOMES = data.outcomes, T = data.texts;
const byId = (id) => document.getElementById(id);

function make(tag, options = {}, ...children) {
  const node = document.createElement(tag);
  if (options.class) node.className = options.class;
  if (options.click) node.addEventListener("click", options.click);
  if (options.title) node.title = options.title;
  node.append(...children);
  return node;
}

const jobs = data.jobs.map(([name, arch, outcome, settled, seconds, blocker, waits, spans, packages, because], number) => {
  let last = 0;
  return {
    number, name: T[name], arch: T[arch], outcome: OUTCOMES[outcome], settled: settled / 100, seconds: seconds / 100,
    blocker, waits: waits.map((step) => (last += step)), users: [], because: T[because] || "",
    spans: spans.map(([start, length, slot, pieces]) => ({ start: start / 100, end: (start + length) / 100, slot, pieces })),
    packages: packages.map(([text, size, depends]) => ({ name: T[text], size, depends: depends.map((one) => T[one]) })),
  };
});
for (const job of jobs) for (const one of job.waits) jobs[one].users.push(job.number);
for (const job of jobs) {
  job.label = job.arch ? job.name + "/" + job.arch : job.name;
  job.size = job.packages.reduce((sum, one) => sum + one.size, 0);
  job.start = job.spans.length ? job.spans[0].start : job.settled;
  job.search = "";
}
const total = Math.max(data.seconds / 100, 0.01);
let selected = -1;

function clock(seconds) {
  if (seconds < 100) return (seconds && seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)) + " s";
  const minutes = Math.floor(seconds / 60), rest = String(Math.floor(seconds % 60)).padStart(2, "0");
  return minutes < 60 ? minutes + ":" + rest : Math.floor(minutes / 60) + ":" + String(minutes % 60).padStart(2, "0") + ":" + rest;
}
function bytes(size) {
  if (!size) return "";
  for (const unit of ["B", "kB", "MB"]) { if (size < 1000) return (unit === "B" ? size : size.toFixed(1)) + " " + unit; size /= 1000; }
  return size.toFixed(1) + " GB";
}
const word = (outcome) => outcome.replaceAll("-", " ");

// Views
const views = ["timeline", "jobs", "graph", "failures"];
function show(view) {
  for (const one of views) {
    byId(one).hidden = one !== view;
    byId("tab-" + one).setAttribute("aria-selected", String(one === view));
  }
  if (view === "timeline") draw();
  if (view === "jobs") fill();
  if (view === "graph") drawGraph();
}
for (const one of views) byId("tab-" + one).addEventListener("click", () => { history.replaceState(null, "", "#" + one); show(one); });

function link(number) {
  return make("button", { class: "link mono dot " + jobs[number].outcome, click: () => select(number) }, jobs[number].label);
}
function list(numbers, most) {
  const box = make("ul");
  for (const one of numbers.slice(0, most)) box.append(make("li", {}, link(one)));
  if (numbers.length > most) box.append(make("li", { class: "dim" }, numbers.length - most + " more"));
  return box;
}
function chainOf(number) {
  const chain = [], seen = new Set();
  while (number >= 0 && !seen.has(number)) { seen.add(number); chain.push(number); number = jobs[number].blocker; }
  return chain;
}

function select(number) {
  selected = number;
  const job = jobs[number], box = byId("detail");
  const outcome = word(job.outcome) + (job.spans.length ? " in " + clock(job.seconds) : "");
  box.replaceChildren(make("h2", { class: "mono" }, job.label), make("p", { class: "dot " + job.outcome }, outcome));
  if (job.because) box.append(make("p", { class: "dim" }, job.because));
  for (const span of job.spans) {
    box.append(make("h3", {}, "from " + clock(span.start) + " to " + clock(span.end) + ", slot " + (span.slot + 1)));
    const rows = make("table");
    for (let i = 0; i < span.pieces.length; i += 4) {
      const [label, length, step, status] = span.pieces.slice(i, i + 4);
      const name = (step ? "\u2003" + step + " " : "") + T[label] + (status ? " (status " + status + ")" : "");
      rows.append(make("tr", {}, make("td", {}, name), make("td", { class: "right" }, clock(length / 100))));
    }
    box.append(rows);
  }
  const chain = chainOf(number).slice(1);
  if (chain.length) box.append(make("h3", {}, "Waited last for, back to the beginning"), list(chain, 12));
  if (job.waits.length) box.append(make("h3", {}, "Waits for " + job.waits.length), list(job.waits, 15));
  if (job.users.length) box.append(make("h3", {}, "Needed by " + job.users.length), list(job.users, 15));
  if (job.packages.length) {
    box.append(make("h3", {}, "Packages"));
    for (const one of job.packages) {
      box.append(make("p", { class: "mono" }, one.name + "  " + bytes(one.size)));
      if (one.depends.length) box.append(make("p", { class: "dim" }, "needs " + one.depends.join(" ")));
    }
  }
  byId("center").value = job.label;
  if (!byId("timeline").hidden) draw();
  if (!byId("graph").hidden) drawGraph();
}

// Timeline
const canvas = byId("canvas"), slots = jobs.reduce((most, job) => job.spans.reduce((top, one) => Math.max(top, one.slot + 1), most), 1);
let from = 0, to = total, boxes = [];
const AXIS = 20;
function rowHeight() { return Math.max(4, Math.min(20, Math.floor(560 / slots))); }
function color(name) { return getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim() || "#888"; }
function draw() {
  const width = canvas.clientWidth, row = rowHeight(), height = AXIS + slots * row + 2, scale = window.devicePixelRatio || 1;
  if (!width) return;
  canvas.style.height = height + "px";
  canvas.width = width * scale; canvas.height = height * scale;
  const pen = canvas.getContext("2d");
  pen.scale(scale, scale);
  const x = (seconds) => ((seconds - from) / (to - from)) * width;
  const colors = {};
  for (const one of OUTCOMES) colors[one] = color(one);
  const text = color("text"), dim = color("dim"), line = color("line"), accent = color("accent");
  pen.font = "11px ui-monospace, monospace";
  const step = [0.1, 0.5, 1, 5, 10, 30, 60, 300, 600, 1800, 3600, 7200, 21600, 86400].find((one) => x(from + one) >= 70) || 86400 * 7;
  for (let at = Math.ceil(from / step) * step; at <= to; at += step) {
    pen.fillStyle = line; pen.fillRect(x(at), 0, 1, height);
    pen.fillStyle = dim; pen.fillText(clock(at), x(at) + 3, 12);
  }
  boxes = [];
  const chain = new Set(selected >= 0 ? chainOf(selected) : []);
  for (const job of jobs) for (const span of job.spans) {
    if (span.end < from || span.start > to) continue;
    const left = x(span.start), wide = Math.max(1, x(span.end) - left - 0.5), top = AXIS + span.slot * row;
    pen.globalAlpha = chain.size && !chain.has(job.number) ? 0.3 : 1;
    pen.fillStyle = colors[job.outcome];
    pen.fillRect(left, top, wide, row - 1);
    boxes.push([left, top, wide, job.number]);
    if (row >= 12 && wide > 40) {
      pen.fillStyle = chain.has(job.number) || !chain.size ? "#fff" : text;
      pen.fillText(job.name.slice(0, Math.floor((wide - 6) / 6.7)), Math.max(left, 0) + 3, top + row - 5);
    }
  }
  pen.globalAlpha = 1; pen.strokeStyle = accent; pen.lineWidth = 2;
  for (const number of chain) {
    const job = jobs[number];
    if (!job.spans.length) continue;
    const end = job.spans[0], row0 = AXIS + end.slot * row;
    if (number === selected) pen.strokeRect(x(end.start), row0, Math.max(2, x(end.end) - x(end.start)), row - 1);
    const before = job.blocker >= 0 ? jobs[job.blocker].spans.at(-1) : null;
    if (!before) continue;
    pen.beginPath();
    pen.moveTo(x(before.end), AXIS + before.slot * row + row / 2);
    pen.lineTo(x(end.start), row0 + row / 2);
    pen.stroke();
  }
}
function hit(event) {
  const area = canvas.getBoundingClientRect(), px = event.clientX - area.left, py = event.clientY - area.top, row = rowHeight();
  const found = boxes.find(([left, top, wide]) => px >= left - 1 && px <= left + wide + 1 && py >= top && py < top + row);
  return found ? found[3] : -1;
}
function zoom(factor, center = (from + to) / 2) {
  const span = Math.min(total, Math.max(0.05, (to - from) * factor)), share = (center - from) / (to - from);
  from = Math.max(0, Math.min(total - span, center - share * span)); to = from + span;
  draw();
}
const timeAt = (event) => from + ((event.clientX - canvas.getBoundingClientRect().left) / canvas.clientWidth) * (to - from);
canvas.addEventListener("wheel", (event) => { event.preventDefault(); zoom(event.deltaY > 0 ? 1.25 : 0.8, timeAt(event)); }, { passive: false });
let grip = null, moved = false;
canvas.addEventListener("pointerdown", (event) => { grip = { x: event.clientX, from, to }; moved = false; canvas.setPointerCapture(event.pointerId); });
canvas.addEventListener("pointermove", (event) => {
  if (grip) {
    const shift = ((grip.x - event.clientX) / canvas.clientWidth) * (grip.to - grip.from);
    if (Math.abs(grip.x - event.clientX) > 3) moved = true;
    from = Math.max(0, Math.min(total - (grip.to - grip.from), grip.from + shift)); to = from + (grip.to - grip.from);
    draw();
    return;
  }
  const number = hit(event);
  byId("hover").textContent = number < 0 ? "\u00a0" : jobs[number].label + ": " + word(jobs[number].outcome) + " in " + clock(jobs[number].seconds);
});
canvas.addEventListener("pointerup", (event) => { const number = hit(event); if (!moved && number >= 0) select(number); grip = null; });
canvas.addEventListener("keydown", (event) => {
  const shift = (to - from) / 10;
  if (event.key === "+") zoom(0.8); else if (event.key === "-") zoom(1.25);
  else if (event.key === "ArrowLeft" || event.key === "ArrowRight") {
    const by = event.key === "ArrowLeft" ? -Math.min(shift, from) : Math.min(shift, total - to);
    from += by; to += by; draw(); event.preventDefault();
  }
});
byId("zoom-in").addEventListener("click", () => zoom(0.5));
byId("zoom-out").addEventListener("click", () => zoom(2));
byId("zoom-all").addEventListener("click", () => { from = 0; to = total; draw(); });

// Table: only the rows in sight are in the page.
const COLUMNS = [
  ["Job", (job) => job.name], ["Arch", (job) => job.arch], ["Outcome", (job) => word(job.outcome)],
  ["Time", (job) => job.seconds, (job) => (job.spans.length ? clock(job.seconds) : "")],
  ["Begin", (job) => job.start, (job) => (job.spans.length ? clock(job.start) : "")],
  ["Waits for", (job) => job.waits.length], ["Needed by", (job) => job.users.length],
  ["Packages", (job) => job.packages.length, (job) => job.packages.length || ""],
  ["Size", (job) => job.size, (job) => bytes(job.size)],
  ["Depends on", (job) => dependsOf(job)],
];
const NUMBERS = new Set([3, 4, 5, 6, 7, 8]), WIDE = new Set([4, 6, 7, 9]), ROW = 24;
function dependsOf(job) { return [...new Set(job.packages.flatMap((one) => one.depends))].join(" "); }
let order = [3, -1], shown = [];
COLUMNS.forEach(([heading], number) => {
  const sort = () => { order = [number, order[0] === number ? -order[1] : NUMBERS.has(number) ? -1 : 1]; fill(); };
  const cell = make("th", { class: WIDE.has(number) ? "wide" : "" }, make("button", { click: sort }, heading));
  cell.setAttribute("scope", "col");
  byId("head").append(cell);
});
function choices(id, heading, values) {
  const box = byId(id);
  box.append(new Option(heading, ""), ...values.map((one) => new Option(word(one), one)));
  box.addEventListener("change", fill);
}
choices("outcome", "every outcome", OUTCOMES.filter((one) => jobs.some((job) => job.outcome === one)));
choices("arch", "every architecture", [...new Set(jobs.map((job) => job.arch))]);
let timer = 0;
byId("filter").addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(fill, 120); });
function fill() {
  const text = byId("filter").value.trim().toLowerCase(), outcome = byId("outcome").value, arch = byId("arch").value;
  const matches = (job) => {
    if (!job.search) job.search = (job.label + " " + job.packages.map((one) => one.name).join(" ") + " " + dependsOf(job)).toLowerCase();
    return job.search.includes(text);
  };
  shown = jobs.filter((job) => (!outcome || job.outcome === outcome) && (!arch || job.arch === arch) && (!text || matches(job)));
  const key = COLUMNS[order[0]][1], way = order[1];
  shown.sort((a, b) => { const x = key(a), y = key(b); return (x < y ? -1 : x > y ? 1 : a.number - b.number) * way; });
  byId("shown").textContent = shown.length + " of " + jobs.length;
  [...byId("head").children].forEach((cell, number) => cell.setAttribute("aria-sort", number === order[0] ? (way < 0 ? "descending" : "ascending") : "none"));
  byId("scroll").scrollTop = 0;
  rows();
}
function space(count) {
  const cell = make("td", { class: "space" });
  cell.colSpan = COLUMNS.length;
  cell.style.height = count * ROW + "px";
  return make("tr", {}, cell);
}
function rows() {
  const box = byId("scroll"), first = Math.max(0, Math.floor(box.scrollTop / ROW) - 20), last = Math.min(shown.length, first + Math.ceil(box.clientHeight / ROW) + 40);
  const made = shown.slice(first, last).map((job) => {
    const row = make("tr", { click: () => select(job.number) });
    row.dataset.job = job.number;
    COLUMNS.forEach(([, key, text], number) => {
      const value = String((text || key)(job));
      const cell = make("td", { class: (NUMBERS.has(number) ? "right " : "") + (WIDE.has(number) ? "wide" : ""), title: number === 9 ? value : "" });
      if (number === 0) cell.append(make("button", { class: "link mono" }, value));
      else if (number === 2) cell.append(make("span", { class: "dot " + job.outcome }, value));
      else cell.append(value);
      row.append(cell);
    });
    return row;
  });
  byId("rows").replaceChildren(space(first), ...made, space(shown.length - last));
}
byId("scroll").addEventListener("scroll", () => requestAnimationFrame(rows));

// Graph
function svg(tag, attributes, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}
const MOST = 16, WIDTH = 210, GAP = 70, HEIGHT = 26;
function ring(numbers, seen, most, held) {
  const found = [...new Set(numbers)].filter((one) => !seen.has(one));
  // What held others up comes first, then those that took longest; the rest is counted.
  found.sort((a, b) => held.has(b) - held.has(a) || jobs[b].seconds - jobs[a].seconds || a - b);
  const some = found.slice(0, most);
  some.forEach((one) => seen.add(one));
  return { some, left: found.length - some.length };
}
function drawGraph() {
  const drawing = byId("drawing"), number = selected >= 0 ? selected : 0;
  if (!jobs.length) return;
  const seen = new Set([number]);
  const held = new Set(chainOf(number));
  for (const one of jobs[number].users) if (jobs[one].blocker === number) held.add(one);
  const before = ring(jobs[number].waits, seen, MOST, held), after = ring(jobs[number].users, seen, MOST, held);
  const first = ring(before.some.flatMap((one) => jobs[one].waits), seen, MOST / 2, held);
  const last = ring(after.some.flatMap((one) => jobs[one].users), seen, MOST / 2, held);
  const rings = [first, before, { some: [number], left: 0 }, after, last].filter((one) => one.some.length);
  const tallest = Math.max(...rings.map((one) => one.some.length + (one.left ? 1 : 0))), height = tallest * (HEIGHT + 8) + 10;
  const width = rings.length * (WIDTH + GAP) - GAP + 10, at = new Map(), nodes = [], edges = [];
  rings.forEach(({ some, left }, column) => {
    const rowsHere = some.length + (left ? 1 : 0), top = (height - rowsHere * (HEIGHT + 8)) / 2, x = 5 + column * (WIDTH + GAP);
    some.forEach((one, row) => {
      const y = top + row * (HEIGHT + 8), job = jobs[one];
      at.set(one, [x, y]);
      const label = job.label.length > 27 ? job.label.slice(0, 26) + "…" : job.label;
      const group = svg("g", { class: job.outcome + (one === number ? " center" : ""), "data-job": one, tabindex: 0 },
        svg("title", {}, job.label + ": " + word(job.outcome) + ", " + clock(job.seconds)),
        svg("rect", { x, y, width: WIDTH, height: HEIGHT, rx: 5 }), svg("text", { x: x + 8, y: y + 17 }, label));
      group.addEventListener("click", () => select(one));
      group.addEventListener("keydown", (event) => { if (event.key === "Enter") select(one); });
      nodes.push(group);
    });
    if (left) nodes.push(svg("text", { x: x + 8, y: top + some.length * (HEIGHT + 8) + 17 }, left + " more"));
  });
  for (const [one, [x, y]] of at) for (const need of jobs[one].waits) {
    const other = at.get(need);
    if (!other || other[0] >= x) continue;
    const x0 = other[0] + WIDTH, y0 = other[1] + HEIGHT / 2, y1 = y + HEIGHT / 2, half = (x0 + x) / 2;
    edges.push(svg("path", { class: "edge" + (jobs[one].blocker === need ? " blocker" : ""), d: `M${x0} ${y0} C${half} ${y0} ${half} ${y1} ${x} ${y1}` }));
  }
  drawing.setAttribute("viewBox", `0 0 ${width} ${height}`);
  drawing.style.width = Math.max(width, 300) + "px"; drawing.style.maxWidth = rings.length > 3 ? "none" : "100%";
  drawing.style.height = height + "px";
  drawing.replaceChildren(...edges, ...nodes);
}
byId("center").addEventListener("change", () => {
  const text = byId("center").value.trim();
  const found = jobs.find((job) => job.label === text) || jobs.find((job) => job.name.startsWith(text)) || jobs.find((job) => job.label.includes(text));
  if (text && found) select(found.number);
});

window.addEventListener("resize", () => { if (!byId("timeline").hidden) draw(); if (!byId("jobs").hidden) rows(); });
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
const wanted = location.hash.slice(1);
show(views.includes(wanted) ? wanted : jobs.some((job) => job.outcome === "failed") ? "failures" : "timeline");
