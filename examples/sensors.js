import { readStream } from "./stream.js";

const SHOWN = 60;
const cards = document.querySelector("#sensors");
/** Sensor → its card and its last readings. */
const sensors = new Map();

function cardOf(name) {
  const known = sensors.get(name);
  if (known) return known;
  cards.querySelector(".empty")?.remove();
  const card = document.querySelector("#card").content.firstElementChild.cloneNode(true);
  card.querySelector("h2").textContent = name;
  const next = [...cards.children].find((other) => other.querySelector("h2").textContent > name);
  cards.insertBefore(card, next ?? null);
  const sensor = { card, readings: [] };
  sensors.set(name, sensor);
  return sensor;
}

function points(readings) {
  const [least, most] = [Math.min(...readings), Math.max(...readings)];
  const step = 120 / Math.max(1, readings.length - 1);
  return readings
    .map((celsius, n) => `${n * step},${30 - (28 * (celsius - least)) / (most - least || 1)}`)
    .join(" ");
}

readStream("/events", ({ sensor, celsius, at }) => {
  const { card, readings } = cardOf(sensor);
  readings.push(celsius);
  if (readings.length > SHOWN) readings.shift();
  card.querySelector("b").textContent = celsius.toFixed(1);
  card.querySelector("polyline").setAttribute("points", points(readings));
  card.querySelector("time").textContent = new Date(at).toLocaleTimeString();
});
