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

// [longitude, latitude, step, step, …] in 1e-7 degrees, to Leaflet's [latitude, longitude].
export function unpacked(numbers) {
  const points = [];
  let east = 0, north = 0;
  for (let at = 0; at < numbers.length; at += 2) {
    east += numbers[at];
    north += numbers[at + 1];
    points.push([north / SCALE, east / SCALE]);
  }
  return points;
}

export function cracksOf(answer) {
  return answer.rows.map((row) => {
    const one = Object.fromEntries(answer.columns.map((name, at) => [name, row[at]]));
    one.vehicle = answer.vehicles[one.vehicle];
    one.flight = answer.flights[one.flight];
    one.line = one.line === null ? null : unpacked(one.line);
    return one;
  });
}

export function coverageOf(answer) {
  return answer.rows.map(([seen, narrowest, reason, rings]) => ({ seen, narrowest, reason, rings: rings.map(unpacked) }));
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
