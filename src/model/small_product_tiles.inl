// Included once for each set of instructions, in a namespace that has
//   kLane, kRows   numbers of a vector; rows of a tile of two vectors that registers can hold, even
//   Vector, Mask   kLane numbers; some of them
//   first(count), zero(), spread(number), load(from), load(mask, from), store(to, vector), store(mask, to, vector),
//   add_product(sums, vector, vector)

// kHeight x (kVectors * kLane) numbers of C from row i and column j on; of the last vector only what `mask` has.
template <int kVectors, int kHeight>
AE_INLINE void multiply_tile(const SmallProduct& product, std::int64_t i, std::int64_t j, Mask mask) {
  constexpr int kLast = kVectors - 1;
  Vector sums[kHeight][kVectors];
  float* c = product.c + i * product.n + j;
#pragma GCC unroll 8
  for (int row = 0; row < kHeight; ++row) {
    const float* from = c + row * product.n;
    if (product.add) {
      if constexpr (kLast > 0) sums[row][0] = load(from);
      sums[row][kLast] = load(mask, from + kLast * kLane);
    } else {
      if constexpr (kLast > 0) sums[row][0] = zero();
      sums[row][kLast] = zero();
    }
  }
  const float* a = product.a + i * product.a_row;
  const float* b = product.b + j;
  for (std::int64_t p = 0; p < product.k; ++p, a += product.a_inner, b += product.n) {
    Vector columns[kVectors];
    if constexpr (kLast > 0) columns[0] = load(b);
    columns[kLast] = load(mask, b + kLast * kLane);
#pragma GCC unroll 8
    for (int row = 0; row < kHeight; ++row) {
      const Vector factor = spread(a[row * product.a_row]);
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) add_product(sums[row][v], columns[v], factor);
    }
  }
#pragma GCC unroll 8
  for (int row = 0; row < kHeight; ++row, c += product.n) {
    if constexpr (kLast > 0) store(c, sums[row][0]);
    store(mask, c + kLast * kLane, sums[row][kLast]);
  }
}

template <int kVectors>
AE_INLINE void multiply_columns(const SmallProduct& product, std::int64_t j, Mask mask) {
  std::int64_t i = 0;
  for (; i + kRows <= product.m; i += kRows) multiply_tile<kVectors, kRows>(product, i, j, mask);
  for (; i + kRows / 2 <= product.m; i += kRows / 2) multiply_tile<kVectors, kRows / 2>(product, i, j, mask);
  for (; i < product.m; ++i) multiply_tile<kVectors, 1>(product, i, j, mask);
}

void multiply_tiles(const SmallProduct& product) {
  std::int64_t j = 0;
  for (; product.n - j > kLane; j += 2 * kLane) multiply_columns<2>(product, j, first(product.n - j - kLane));
  if (j < product.n) multiply_columns<1>(product, j, first(product.n - j));
}
