// What the ground tells, as objects: the only place that knows how it is packed.

const SCALE = 1e7;

export async function ask(path, more = { headers: { Accept: "application/json" } }) {
  const answer = await fetch(path, more);
  if (!answer.ok) {
    const told = await answer.json().catch(() => ({}));
    throw new Error(told.description || `the ground answered ${answer.status}`);
  }
  return answer.json();
}

// [longitude, latitude, step, step, …] in 1e-7 degrees, the first from `corner`, to Leaflet's [latitude, longitude].
export function unpacked(numbers, corner = [0, 0]) {
  const points = [];
  let [east, north] = corner;
  for (let at = 0; at < numbers.length; at += 2) {
    east += numbers[at];
    north += numbers[at + 1];
    points.push([north / SCALE, east / SCALE]);
  }
  return points;
}

const ID_BYTES = 16, ID_PARTS = [0, 8, 12, 16, 20, 32];

function idsOf(packed) {
  const bytes = Uint8Array.from(atob(packed), (one) => one.charCodeAt(0)), ids = [];
  for (let at = 0; at < bytes.length; at += ID_BYTES) {
    const hex = [...bytes.subarray(at, at + ID_BYTES)].map((one) => one.toString(16).padStart(2, "0")).join("");
    ids.push(ID_PARTS.slice(1).map((end, part) => hex.slice(ID_PARTS[part], end)).join("-"));
  }
  return ids;
}

// A column is a list, or one value that all have.
export function cracksOf(answer) {
  const { columns, corner } = answer, mm = (hundredths) => hundredths === null ? null : hundredths / 100;
  const value = (name, at) => Array.isArray(columns[name]) ? columns[name][at] : columns[name];
  return idsOf(answer.ids).map((crack_id, at) => {
    const line = columns.line[at];
    return {
      crack_id, vehicle: answer.vehicles[value("vehicle", at)], flight: answer.flights[value("flight", at)],
      kind: answer.kinds[value("kind", at)], number: value("number", at), confirmed: value("confirmed", at),
      band: value("band", at), width_mm: mm(value("width", at)), width_at_most_mm: mm(value("width_at_most", at)),
      length_mm: value("length_mm", at), views: value("views", at), last_seen_s: answer.begun_s + value("seen_s", at),
      picture: value("picture", at), line: line === null ? null : unpacked(line, corner),
    };
  });
}

// The whole course of a crack, of its Feature; null where it has no place.
export function lineOf(geometry) {
  if (!geometry) return null;
  return (geometry.type === "Point" ? [geometry.coordinates] : geometry.coordinates).map(([east, north]) => [north, east]);
}

export function coverageOf(answer) {
  return answer.rows.map(([seen, narrowest, reason, rings]) => ({ seen, narrowest, reason, rings: rings.map((ring) => unpacked(ring)) }));
}

export function widthWords(crack) {
  if (crack.width_mm !== null) return `${crack.width_mm.toFixed(2)} mm`;
  if (crack.width_at_most_mm !== null) return `≤ ${crack.width_at_most_mm.toFixed(2)} mm`;
  return "width not known";
}

export function lengthWords(mm) {
  if (mm === null) return "length not known";
  return mm < 1000 ? `${mm} mm long` : `${(mm / 1000).toFixed(2)} m long`;
}

export function counted(number, what) {
  return `${number} ${what}${number === 1 ? "" : "s"}`;
}

// A drone with less than 10 GB soon has none: told to a tenth.
export function gigabytes(mb) {
  return `${(mb / 1000).toFixed(mb < 10000 ? 1 : 0)} GB`;
}

export function clock(moment) {
  const at = new Date(moment);
  const today = at.toDateString() === new Date().toDateString();
  return today ? at.toLocaleTimeString() : at.toLocaleString();
}

// An element with its text: nothing that a drone sends is ever read as HTML.
export function element(name, text = null, properties = {}) {
  const made = Object.assign(document.createElement(name), properties);
  if (text !== null) made.textContent = text;
  return made;
}
