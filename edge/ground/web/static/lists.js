// The list of cracks, the drones, the flights, and one crack in full.

import { ask, clock, counted, element, gigabytes, lengthWords, lineOf, widthWords } from "./data.js";
import { words as reviewWords } from "./review.js";

const by = (id) => document.getElementById(id);
const HINTS = {
  closer: "too far to see the cracks that are asked for: fly closer",
  slower: "the picture is smeared: fly slower", "more light": "the picture is dark: more light is needed",
};
const PICTURES = { 0: "no picture", 1: "picture is on the drone", 3: "picture is lost" };
const FACTS = {
  state: "state", kind: "kind", width_mean_mm: "width, mm", width_sigma_mm: "its standard uncertainty, mm",
  width_at_most_mm: "width at most, mm", band: "band", length_mm: "length, mm", n_views: "views", score: "score",
  first_seen: "first seen", last_seen: "last seen", vehicle: "drone", flight_id: "flight", number: "number",
  revision: "revision", frame_name: "picture", gsd_mm_px: "mm in a pixel", crack_id: "crack",
};
// In the reader's own time, as in the list: two clocks on one page would contradict each other.
const TIMES = ["first_seen", "last_seen"];

export class List {
  constructor(chosen) {
    this.chosen = chosen;
    this.items = new Map();
  }

  draw(cracks, styleOf, most) {
    const shown = cracks.slice(0, most).map((crack) => {
      const mark = JSON.stringify([crack.width_mm, crack.width_at_most_mm, crack.views, crack.picture, crack.confirmed, crack.last_seen_s, crack.review]);
      const before = this.items.get(crack.crack_id);
      if (before && before.mark === mark) return before.item;
      const item = this.item(crack, styleOf(crack));
      if (before) {
        if (before.item.contains(document.activeElement)) queueMicrotask(() => item.firstChild.focus());
        before.item.replaceWith(item);
      }
      this.items.set(crack.crack_id, { mark, item });
      return item;
    });
    const list = by("list");
    // Moving only what is out of place keeps the focus and the pictures of the rest.
    shown.forEach((item, at) => {
      if (list.children[at] !== item) list.insertBefore(item, list.children[at] || null);
    });
    while (list.children.length > shown.length) list.lastChild.remove();
    by("more").hidden = cracks.length <= most;
    by("cracks-title").textContent = `Cracks (${cracks.length})`;
  }

  item(crack, { colour, thick }) {
    const button = element("button", null, { type: "button" });
    button.style.setProperty("--band", colour);
    button.style.setProperty("--thick", `${thick}px`);
    if (crack.picture === 2) {
      button.append(element("img", null, { className: "thumb", loading: "lazy", alt: "", width: 88, height: 62,
        src: `/live/cracks/${encodeURIComponent(crack.crack_id)}/picture` }));
    } else {
      button.append(element("span", PICTURES[crack.picture], { className: "thumb" }));
    }
    const words = element("span");
    words.append(
      element("strong", widthWords(crack)),
      element("span", `${crack.kind} ${crack.number}, ${lengthWords(crack.length_mm)}, ${counted(crack.views, "view")}${crack.confirmed ? "" : ", tentative"}`, { className: "small" }),
      element("span", `${crack.vehicle}, ${clock(crack.last_seen_s * 1000)}${crack.line === null ? ", place not known" : ""}`, { className: "small" }),
    );
    if (crack.review) words.append(element("span", reviewWords(crack.review), { className: "small said" }));
    button.append(words);
    button.dataset.review = crack.review ? crack.review.verdict : "";
    button.addEventListener("click", () => this.chosen(crack.crack_id, true));
    const item = element("li");
    item.append(button);
    return item;
  }
}

export function drawFleet(fleet) {
  by("vehicles").replaceChildren(...fleet.vehicles.map((one) => vehicle(one)));
  if (fleet.vehicles.length === 0) by("vehicles").append(element("li", "no drone has been heard yet"));
  by("flights").tBodies[0].replaceChildren(...fleet.flights.map((one) => {
    const row = element("tr");
    row.append(element("td", one.vehicle), element("td", one.flight_id), element("td", clock(one.begun)));
    for (const key of ["cracks", "detections", "missing"]) row.append(element("td", String(one[key]), { className: "number" }));
    return row;
  }));
}

function vehicle(one) {
  const item = element("li");
  const state = one.status ? String(one.status.state) : "not heard";
  item.dataset.state = state;
  const heading = element("div");
  heading.append(element("strong", one.vehicle), " ", element("span", state, { className: "state" }));
  item.append(heading);
  for (const reason of one.status ? one.status.reasons : []) item.append(element("div", reason));
  const told = one.telemetry;
  if (told) {
    const words = [];
    if (told.fps !== null) words.push(`${told.fps} frames/s`);
    if (told.fix && told.fix.kind) words.push(`fix ${told.fix.kind}`);
    if (told.temperature_deg_c !== null) words.push(`${told.temperature_deg_c} °C`);
    if (told.disk_free_mb !== null) words.push(`${gigabytes(told.disk_free_mb)} free`);
    if (told.outbox) words.push(`${counted((told.outbox.pending || 0) + (told.outbox.sent || 0), "letter")} waiting`);
    item.append(element("div", words.join(", "), { className: "small" }));
    if (told.hint) item.append(element("div", HINTS[told.hint] || told.hint));
    item.append(element("div", `heard ${clock(told.heard)}`, { className: "small" }));
  }
  return item;
}

// What is wrong now: with the ground, then with each drone.
export function drawAlarm(fleet, trouble) {
  const sentences = [...(trouble ? [trouble] : []), ...(fleet ? fleet.troubles : [])];
  for (const one of fleet ? fleet.vehicles : []) {
    if (!one.status || one.status.reasons.length === 0) continue;
    sentences.push(`${one.vehicle}: ${one.status.reasons.join("; ")}`);
  }
  const alarm = by("alarm"), before = alarm.dataset.told || "", now = JSON.stringify(sentences);
  if (before === now) return; // a screen reader speaks only what is new
  alarm.dataset.told = now;
  alarm.hidden = sentences.length === 0;
  alarm.replaceChildren(...sentences.map((one) => element("p", one)));
}

// Resolves to the crack's whole course; null where it has no place.
export async function showCrack(id, reviews) {
  const dialog = by("detail");
  const feature = await ask(`/collections/cracks/items/${encodeURIComponent(id)}`);
  const facts = feature.properties;
  by("detail-title").textContent = `${facts.kind} ${facts.number}`;
  by("detail-facts").replaceChildren(...Object.entries(FACTS).filter(([key]) => facts[key] !== null && facts[key] !== undefined)
    .flatMap(([key, words]) => [element("dt", words), element("dd", TIMES.includes(key) ? clock(facts[key]) : String(facts[key]))]));
  const link = by("detail-picture"), picture = link.querySelector("img");
  link.hidden = facts.photo_sha256 === null;
  if (facts.photo_sha256 !== null) {
    link.href = picture.src = `/pictures/${facts.photo_sha256}`;
    picture.onerror = () => { link.hidden = true; };
  } else {
    picture.removeAttribute("src");
  }
  by("detail-links").replaceChildren(element("a", "the message as the drone sent it", { href: `/messages/${encodeURIComponent(id)}` }));
  reviews.show(id, `/reviews?${new URLSearchParams({ vehicle: facts.vehicle, flight_id: facts.flight_id })}`);
  if (!dialog.open) dialog.showModal();
  return lineOf(feature.geometry);
}
