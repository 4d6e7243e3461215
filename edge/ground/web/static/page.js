// The page: asks for what is new when the ground says so, and keeps map and lists to it.

import { ask, counted, coverageOf, cracksOf } from "./data.js";
import { List, drawAlarm, drawFleet, showCrack } from "./lists.js";
import { Plan, SEEN, Wall } from "./map.js";
import { Reviews } from "./review.js";

const by = (id) => document.getElementById(id);
const MOST = 2000; // cracks that are kept; the oldest go first
const LIST_STEP = 50;
const FLEET_EVERY_MS = 2000, COVERAGE_EVERY_MS = 5000, AGAIN_MS = 5000;

const cracks = new Map();
let legend, plan, wall, list, reviews, fleet = null, patches = [], walls = [], newest = null, heads = [0, 0, [0, 0], 0, 0, 0];
let most = LIST_STEP, trouble = null, fitted = false, drawing = false;

const THICK = [4, 5.5, 7, 8.5, 10, 11], THICK_UNKNOWN = 4;
let edge = "";

function styleOf(crack) {
  const known = crack.band !== null;
  return { colour: legend.bands[known ? crack.band : legend.bands.length - 1].colour, thick: known ? thickOf(crack.band) : THICK_UNKNOWN, edge };
}

const thickOf = (band) => THICK[Math.min(band, THICK.length - 1)];

function shown() {
  const flight = by("flight").value, tentative = by("show-tentative").checked;
  const found = [...cracks.values()].filter((one) => (flight === "" || flightKey(one.vehicle, one.flight) === flight) && (tentative || one.confirmed));
  for (const one of found) one.review = reviews.of(one.crack_id);
  if (by("order").value !== "widest") return found.sort((a, b) => b.last_seen_s - a.last_seen_s);
  // As the report sorts: what a person rejected last, what is confirmed before what may be nothing (a short piece seen once
  // is often wide), and a measured width before a bound.
  const verdict = (one) => one.review ? one.review.verdict : "unreviewed";
  const rank = (one) => [verdict(one) !== "rejected", one.confirmed || verdict(one) === "confirmed", one.width_mm ?? -1, one.width_at_most_mm ?? -1];
  const ranked = found.map((one) => [rank(one), one]);
  ranked.sort(([a], [b]) => b[0] - a[0] || b[1] - a[1] || b[2] - a[2] || b[3] - a[3]);
  return ranked.map(([, one]) => one);
}

const flightKey = (vehicle, flight) => JSON.stringify([vehicle, flight]);

function draw() {
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(() => {
    drawing = false;
    const visible = shown();
    list.draw(visible, styleOf, most);
    plan.draw(visible.map((one) => ({ ...one, points: one.line })), styleOf);
    drawWall();
    const placed = visible.some((one) => one.line !== null), wallShown = by("view").value !== "";
    by("nowhere").hidden = placed || wallShown;
    by("nowhere").textContent = visible.length === 0 ? "No cracks yet." : "None of these cracks has a place on the earth; the list has them, and the wall view where there is one.";
    if (!fitted && placed) {
      plan.fit();
      fitted = true;
    }
  });
}

function drawWall() {
  const chosen = walls[Number(by("view").value)];
  by("plan").hidden = by("view").value !== "";
  by("wall").hidden = by("view").value === "";
  if (by("view").value === "" || !chosen) return;
  wall.map.invalidateSize();
  const lines = chosen.cracks.map(([id, path]) => ({ id, path })).filter(({ id }) => cracks.has(id));
  wall.draw(lines.map(({ id, path }) => ({ ...cracks.get(id), review: reviews.of(id), points: path.map(([along, up]) => [up, along]) })), styleOf);
  wall.rule();
}

const ON_DRONE = 1, LOST = 3; // of a crack's picture

// Asked for at once, not after one another: a radio link takes its time for each.
let firstCracks = ask("/live/cracks");
const firstLegend = ask("/live/legend");
firstCracks.catch(() => {}); // who waits for it later is told

async function loadCracks() {
  let more = true;
  while (more) {
    const asked = newest === null ? firstCracks || ask("/live/cracks") : ask(`/live/cracks?after=${newest}`);
    firstCracks = null;
    const answer = await asked;
    for (const one of cracksOf(answer)) {
      cracks.delete(one.crack_id); // so that the newest stand at the end
      cracks.set(one.crack_id, one);
    }
    for (const id of answer.gone) cracks.delete(id);
    newest = answer.newest;
    more = answer.more;
  }
  for (const id of [...cracks.keys()].slice(0, Math.max(0, cracks.size - MOST))) cracks.delete(id);
  draw();
}

// Pictures have come, or are lost: the cracks say which of them are here now.
async function loadPictures() {
  if ([...cracks.values()].every((one) => one.picture !== ON_DRONE && one.picture !== LOST)) return;
  newest = null;
  asCracks();
}

async function loadFleet() {
  fleet = await ask("/live/fleet");
  drawFleet(fleet);
  drawAlarm(fleet, trouble);
  const flying = fleet.vehicles.filter((one) => one.status && one.status.state === "flying").length;
  by("counts").textContent = `${counted(fleet.vehicles.length, "drone")}, ${flying} flying, ${counted(fleet.flights.length, "flight")} shown`;
  const options = fleet.flights.filter((one) => one.cracks > 0).map((one) => new Option(`${one.vehicle} ${one.flight_id}`, flightKey(one.vehicle, one.flight_id)));
  const select = by("flight"), before = select.value;
  if (options.length + 1 !== select.options.length) {
    select.replaceChildren(new Option("all", ""), ...options);
    select.value = [...select.options].some((one) => one.value === before) ? before : "";
  }
}

async function loadCoverage() {
  patches = coverageOf(await ask("/live/coverage"));
  plan.cover(patches, by("show-coverage").checked);
}

// Walls of the chosen flight, or of the newest that has cracks.
async function loadWalls() {
  if (fleet === null) await loadFleet();
  const first = fleet && fleet.flights.find((one) => one.cracks > 0);
  const key = by("flight").value || (first ? flightKey(first.vehicle, first.flight_id) : "");
  const select = by("view"), before = select.value;
  if (key === "") return;
  const [vehicle, flight] = JSON.parse(key);
  walls = (await ask(`/live/walls?${new URLSearchParams({ vehicle, flight_id: flight })}`)).walls;
  select.replaceChildren(new Option("plan", ""), ...walls.map((one, at) => new Option(one.name, String(at))));
  select.value = before !== "" && walls[Number(before)] ? before : "";
  draw();
}

// Runs one task at a time, again when it was asked for meanwhile, and not more often than `everyMs`.
function paced(task, everyMs) {
  let running = false, wanted = false, failed = false;
  return async function go() {
    wanted = true;
    if (running) return;
    running = true;
    while (wanted) {
      wanted = false;
      try {
        await task();
        if (failed) { failed = false; sayLive(); }
      } catch (error) {
        failed = true;
        say("lost", error.message);
        setTimeout(go, AGAIN_MS);
      }
      await new Promise((done) => setTimeout(done, everyMs));
    }
    running = false;
  };
}

const asCracks = paced(loadCracks, 500), asFleet = paced(loadFleet, FLEET_EVERY_MS), asCoverage = paced(loadCoverage, COVERAGE_EVERY_MS), asWalls = paced(loadWalls, COVERAGE_EVERY_MS);
const asReviews = paced(() => reviews.load(), 500), asPictures = paced(loadPictures, COVERAGE_EVERY_MS);

function say(state, words) {
  const link = by("link");
  if (link.textContent !== words) link.textContent = words;
  link.dataset.state = state;
}

// After a trouble that is over, where the stream is still there.
function sayLive() {
  if (events !== null && events.readyState === EventSource.OPEN) say("live", "live");
}

// A page that a browser keeps for "back" would keep its stream too, and a browser opens six connections to one address:
// after six such pages the next one waits a minute for its first byte.
let events = null;

function listen() {
  if (events !== null) events.close();
  events = new EventSource("/live/events");
  events.onopen = () => say("live", "live");
  events.addEventListener("heads", (event) => {
    const told = JSON.parse(event.data);
    trouble = Array.isArray(told) ? null : told.trouble;
    if (trouble !== null) return drawAlarm(fleet, trouble);
    say("live", "live");
    if (told[1] !== heads[1]) { asCracks(); asWalls(); }
    if (String(told[2]) !== String(heads[2])) asCoverage();
    if (told[4] !== heads[4]) asReviews();
    if (told[5] !== heads[5]) asPictures();
    asFleet();
    heads = told;
  });
  events.onerror = () => {
    say("lost", "no link, trying again");
    if (events !== null && events.readyState === EventSource.CLOSED) setTimeout(listen, AGAIN_MS);
  };
}

function choose(id, fromList = false) {
  const crack = cracks.get(id);
  if (fromList && crack && crack.line !== null && by("view").value === "") plan.map.setView(plan.lines.get(id).layer.getBounds().getCenter(), Math.max(plan.map.getZoom(), 20));
  showCrack(id, reviews).then((line) => {
    sayLive();
    const now = cracks.get(id);
    if (now && line !== null) { now.line = line; draw(); } // the first look had its course in a few points
  }).catch((error) => say("lost", error.message));
}

function drawLegend() {
  const entry = (style, words, title) => {
    const item = document.createElement("li");
    const swatch = Object.assign(document.createElement("span"), { className: `swatch ${style.kind || ""}` });
    swatch.style.background = style.colour;
    swatch.style.borderColor = style.kind ? style.colour : "var(--edge)";
    if (style.thick) swatch.style.height = `${style.thick + 2}px`;
    item.append(swatch, words);
    item.title = title || "";
    return item;
  };
  by("legend").replaceChildren(
    ...legend.bands.map((one, band) => entry({ colour: one.colour, thick: band === legend.bands.length - 1 ? THICK_UNKNOWN : thickOf(band) }, one.name, one.meaning)),
    entry({ colour: "#6b7280", kind: "dashed" }, "tentative"),
    entry({ colour: SEEN.seen, kind: "patch" }, "seen well"), entry({ colour: SEEN.poor, kind: "patch" }, "seen poorly"), entry({ colour: SEEN.unknown, kind: "patch" }, "not known how well"),
  );
  by("source").textContent = `Bands: ${legend.source}. Context, not a verdict.`;
}

function themes() {
  const root = document.documentElement, button = by("theme");
  const dark = () => root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  const show = () => {
    button.setAttribute("aria-pressed", String(dark()));
    edge = getComputedStyle(root).getPropertyValue("--edge").trim();
    if (wall) { wall.rule(); draw(); }
  };
  const kept = localStorage.getItem("theme");
  if (kept) root.dataset.theme = kept;
  button.addEventListener("click", () => {
    root.dataset.theme = dark() ? "light" : "dark";
    localStorage.setItem("theme", root.dataset.theme);
    show();
  });
  show();
}

async function begin() {
  themes();
  legend = await firstLegend;
  drawLegend();
  plan = new Plan(by("plan"), choose, legend.tiles);
  plan.redraw = draw;
  by("wall").hidden = false;
  wall = new Wall(by("wall"), choose);
  by("wall").hidden = true;
  list = new List(choose);
  reviews = new Reviews(draw);
  for (const id of ["order", "show-tentative"]) by(id).addEventListener("change", draw);
  by("flight").addEventListener("change", () => { fitted = false; by("view").value = ""; draw(); asWalls(); });
  by("view").addEventListener("change", () => { drawWall(); if (by("view").value !== "") wall.fit(); draw(); });
  by("show-coverage").addEventListener("change", () => plan.cover(patches, by("show-coverage").checked));
  by("fit").addEventListener("click", () => (by("view").value === "" ? plan : wall).fit());
  by("more").addEventListener("click", () => { most += LIST_STEP; draw(); });
  asCracks();
  asFleet();
  asCoverage();
  listen();
  window.addEventListener("pagehide", () => { events.close(); events = null; });
  window.addEventListener("pageshow", (event) => { if (event.persisted) listen(); });
}

begin().catch((error) => { say("lost", error.message); setTimeout(() => location.reload(), AGAIN_MS); });
