// Two editors' versions of one document, merged by placement and field. Nothing here touches the page.

export const same = (a, b) => JSON.stringify(ordered(a)) === JSON.stringify(ordered(b));

// ordered is the value with the names of its objects in order, and without what is empty: the server leaves that out.
function ordered(v) {
  if (Array.isArray(v)) return v.length === 0 ? undefined : v.map(ordered);
  if (v === null || typeof v !== 'object') return v === '' || v === 0 || v === '0' ? undefined : v;
  const kept = Object.keys(v).sort().map((k) => [k, ordered(v[k])]).filter(([, x]) => x !== undefined);
  return kept.length === 0 ? undefined : Object.fromEntries(kept);
}

const shelves = (document) => document.shelves ?? [];
export const names = (document) => shelves(document).map((p) => p.shelf);
const placementOf = (document, shelf) => shelves(document).find((p) => p.shelf === shelf);

// merge puts mine on top of theirs, both made from base. clashes are what both have changed, each in another way:
// { shelf, field, mine, theirs, base }; there the document has mine. field is '' when one has taken the whole
// placement out.
export function merge(base, mine, theirs) {
  const clashes = [];
  const result = new Map();
  for (const shelf of new Set([...names(theirs), ...names(mine)])) {
    const [b, m, t] = [base, mine, theirs].map((d) => placementOf(d, shelf));
    if (same(m, t) || same(t, b)) result.set(shelf, m);
    else if (same(m, b)) result.set(shelf, t);
    else if (!m || !t) {
      clashes.push({ shelf, field: '', mine: m, theirs: t, base: b });
      result.set(shelf, m);
    } else result.set(shelf, fields(shelf, b ?? { shelf }, m, t, clashes));
  }
  const order = same(names(mine), names(base)) ? names(theirs) : names(mine);
  if (!same(names(mine), names(base)) && !same(names(theirs), names(base)) && !same(names(mine), names(theirs))) {
    clashes.push({ shelf: '', field: 'order', mine: names(mine), theirs: names(theirs), base: names(base) });
  }
  const kept = [...new Set([...order, ...names(theirs), ...names(mine)])].filter((s) => result.get(s));
  return { document: { shelves: kept.map((s) => result.get(s)) }, clashes };
}

function fields(shelf, b, m, t, clashes) {
  const merged = {};
  for (const f of new Set([...Object.keys(t), ...Object.keys(m)])) {
    const mineChanged = !same(m[f], b[f]);
    if (mineChanged && !same(t[f], b[f]) && !same(m[f], t[f])) clashes.push({ shelf, field: f, mine: m[f], theirs: t[f], base: b[f] });
    const value = mineChanged ? m[f] : t[f];
    if (value !== undefined) merged[f] = value;
  }
  return merged;
}

// takeTheirs is the merged document with their side of the clash.
export function takeTheirs(document, clash) {
  let list = [...shelves(document)];
  if (clash.field === 'order' && clash.shelf === '') {
    const at = (p) => (clash.theirs.includes(p.shelf) ? clash.theirs.indexOf(p.shelf) : Infinity);
    list.sort((a, b) => at(a) - at(b));
  } else if (clash.field === '') {
    list = list.filter((p) => p.shelf !== clash.shelf);
    if (clash.theirs) list.push(clash.theirs);
  } else {
    list = list.map((p) => (p.shelf === clash.shelf ? { ...p, [clash.field]: clash.theirs } : p));
  }
  return { shelves: list };
}
