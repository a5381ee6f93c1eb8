// xorshift: the same seed gives the same choices, as far as the order of events is the same.
function seeded(seed) {
  let state = (seed * 2654435761) >>> 0 || 1;
  const random = (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
  random.shuffled = (items) => {
    const all = [...items];
    for (let i = all.length - 1; i > 0; i--) {
      const k = random(i + 1);
      [all[i], all[k]] = [all[k], all[i]];
    }
    return all;
  };
  return random;
}

module.exports = { seeded };
