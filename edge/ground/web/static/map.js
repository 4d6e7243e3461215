// The plan (longitude and latitude) and the wall (metres along and up), both by Leaflet, both without a network.

import { element, widthWords } from "./data.js";

const L = window.L;
export const SEEN = { seen: "#3f8f5f", poor: "#a1887f", unknown: "#6b7280" };
// Farther away a crack is a dot, nearer a line, between them both.
const LINES_FROM_ZOOM = 18, DOTS_BELOW_ZOOM = 21;
const SHORT_M = 0.1;
const STEPS_M = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500];

function options(more) {
  return { preferCanvas: true, renderer: L.canvas({ tolerance: 8, padding: 0.3 }), zoomSnap: 0.25, wheelPxPerZoomLevel: 90,
    attributionControl: false, ...more };
}

class Sheet {
  constructor(holder, more, chosen) {
    this.map = L.map(holder, options(more));
    this.chosen = chosen;
    this.lines = new Map();
    this.group = L.layerGroup().addTo(this.map);
    L.control.scale({ imperial: false, maxWidth: 140 }).addTo(this.map);
  }

  // `crack.points`: of this sheet, [up or north, along or east].
  draw(cracks, styleOf) {
    const here = new Set();
    for (const crack of cracks) {
      if (crack.points === null || crack.points.length === 0) continue;
      here.add(crack.crack_id);
      const mark = JSON.stringify([crack.points, styleOf(crack), crack.confirmed, crack.review]);
      const before = this.lines.get(crack.crack_id);
      if (before && before.mark === mark) continue;
      if (before) this.group.removeLayer(before.layer);
      this.lines.set(crack.crack_id, { mark, layer: this.layer(crack, styleOf(crack)).addTo(this.group) });
    }
    for (const [id, one] of this.lines) {
      if (!here.has(id)) {
        this.group.removeLayer(one.layer);
        this.lines.delete(id);
      }
    }
  }

  // The wider the band, the thicker; an edge around it keeps light colours visible on light ground, dark ones on dark.
  layer(crack, { colour: color, thick: weight, edge }) {
    const middle = crack.points[Math.floor(crack.points.length / 2)], solid = crack.confirmed;
    const faint = crack.review && crack.review.verdict === "rejected" ? 0.3 : 1, parts = [];
    if (this.withLines() && solid) parts.push(L.polyline(crack.points, { color: edge, weight: weight + 2, opacity: 0.75 * faint }));
    if (this.withLines()) parts.push(L.polyline(crack.points, { color, weight, opacity: faint, dashArray: solid ? null : "2 7" }));
    if (this.withDots(crack)) parts.push(L.circleMarker(middle, { radius: 4 + weight / 2, color: edge, weight: 1.5, opacity: 0.75 * faint, fillColor: color, fillOpacity: (solid ? 0.95 : 0.3) * faint, dashArray: solid ? null : "2 3" }));
    const both = L.featureGroup(parts);
    both.bindTooltip(() => element("span", `${crack.kind} ${crack.number}: ${widthWords(crack)}`), { sticky: true });
    return both.on("click", () => this.chosen(crack.crack_id));
  }

  withLines() {
    return true;
  }

  withDots() {
    return true;
  }

  bounds() {
    const found = L.latLngBounds([]);
    for (const { layer } of this.lines.values()) found.extend(layer.getBounds());
    return found;
  }

  fit() {
    const found = this.bounds();
    if (found.isValid()) this.map.fitBounds(found.pad(0.1), { animate: false, maxZoom: this.closest });
  }
}

export class Plan extends Sheet {
  constructor(holder, chosen, tiles) {
    super(holder, { maxZoom: 25, minZoom: 1, worldCopyJump: true }, chosen);
    this.closest = 23;
    this.map.setView([20, 0], 2);
    if (tiles) L.tileLayer("/tiles/{z}/{x}/{y}.png", { maxZoom: 25, maxNativeZoom: 19 }).addTo(this.map);
    this.patches = L.layerGroup().addTo(this.map);
    this.nearness = 0;
    this.map.on("zoomend", () => this.dots());
  }

  withLines() {
    return this.nearness > 0;
  }

  withDots() {
    return this.nearness < 2;
  }

  dots() {
    const zoom = this.map.getZoom(), nearness = zoom < LINES_FROM_ZOOM ? 0 : zoom < DOTS_BELOW_ZOOM ? 1 : 2;
    if (nearness === this.nearness) return;
    this.nearness = nearness;
    for (const one of this.lines.values()) one.mark = null;
    this.redraw?.();
  }

  cover(patches, shown) {
    this.patches.clearLayers();
    if (!shown) return;
    for (const one of patches) {
      const color = SEEN[one.seen] || SEEN.unknown;
      const words = one.seen === "seen" ? `seen: cracks from ${one.narrowest} mm` : `${one.seen}: ${one.reason || "no reason given"}`;
      L.polygon(one.rings, { stroke: false, fillColor: color, fillOpacity: 0.25 })
        .bindTooltip(() => element("span", words), { sticky: true }).addTo(this.patches);
    }
  }
}

export class Wall extends Sheet {
  constructor(holder, chosen) {
    super(holder, { crs: L.CRS.Simple, minZoom: -3, maxZoom: 11 }, chosen);
    this.closest = 9;
    this.map.setView([0, 0], 5);
    this.grid = L.layerGroup().addTo(this.map);
    this.map.on("moveend", () => this.rule());
  }

  // A line tells its own place; only what is too short to be seen gets a dot.
  withDots(crack) {
    const [begin, end] = [crack.points[0], crack.points.at(-1)];
    return Math.hypot(end[0] - begin[0], end[1] - begin[1]) < SHORT_M;
  }

  // Lines of whole metres (or parts), labelled at the left and the lower edge.
  rule() {
    this.grid.clearLayers();
    const bounds = this.map.getBounds(), perPixel = 1 / 2 ** this.map.getZoom();
    const step = STEPS_M.find((one) => one / perPixel >= 70) || STEPS_M.at(-1);
    const colour = getComputedStyle(document.documentElement).getPropertyValue("--grid").trim();
    const digits = step < 1 ? 1 : 0;
    const label = (at, text) => L.marker(at, { interactive: false, keyboard: false,
      icon: L.divIcon({ className: "tick-label", html: element("span", text), iconSize: [60, 14], iconAnchor: [-4, 16] }) }).addTo(this.grid);
    for (let x = Math.ceil(bounds.getWest() / step); x * step <= bounds.getEast(); x += 1) {
      L.polyline([[bounds.getSouth(), x * step], [bounds.getNorth(), x * step]], { color: colour, weight: 1, interactive: false }).addTo(this.grid);
      label([bounds.getNorth() - 16 * perPixel, x * step], `${(x * step).toFixed(digits)} m`);
    }
    for (let y = Math.ceil(bounds.getSouth() / step); y * step <= bounds.getNorth(); y += 1) {
      L.polyline([[y * step, bounds.getWest()], [y * step, bounds.getEast()]], { color: colour, weight: 1, interactive: false }).addTo(this.grid);
      // Not where the figures along the upper edge stand.
      if (bounds.getNorth() - y * step > 34 * perPixel) label([y * step, bounds.getEast() - 58 * perPixel], `${(y * step).toFixed(digits)} m up`);
    }
    for (const { layer } of this.lines.values()) layer.bringToFront();
  }
}
