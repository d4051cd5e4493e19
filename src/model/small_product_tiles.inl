// Included once for each set of instructions, in a namespace that has
//   kLane, kRows   numbers of a vector; rows of a tile of two vectors that registers can hold, at most 8
//   Vector, Mask   kLane numbers; some of them
//   first(count), zero(), spread(number), load(from), load(mask, from), store(to, vector), store(mask, to, vector),
//   add_product(sums, vector, vector)
//   transpose(from, rows, columns, to)
//   kDots, multiply_by_dots(m, n, k, a, b, add, c)   for few columns, with b [n, k]; if kDots

struct Tiled {
  const float* a;  // element (i, p) at i * a_row + p * a_inner
  std::int64_t a_row, a_inner;
  const float* b;  // [k, n], and c [m, n], row after row
  std::int64_t m, n, k;
  bool add;
  float* c;
};

// kHeight x (kVectors * kLane) numbers of C from row i and column j on; of the last vector only what `mask` has.
template <int kVectors, int kHeight>
AE_INLINE void multiply_tile(const Tiled& product, std::int64_t i, std::int64_t j, Mask mask) {
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

// The rows that fill no tile, in a tile of their own.
template <int kVectors, int kHeight>
AE_INLINE void multiply_rest(const Tiled& product, std::int64_t i, std::int64_t j, Mask mask) {
  if constexpr (kHeight > 0) {
    if (product.m - i == kHeight) return multiply_tile<kVectors, kHeight>(product, i, j, mask);
    multiply_rest<kVectors, kHeight - 1>(product, i, j, mask);
  }
}

template <int kVectors>
AE_INLINE void multiply_columns(const Tiled& product, std::int64_t j, Mask mask) {
  std::int64_t i = 0;
  for (; i + kRows <= product.m; i += kRows) multiply_tile<kVectors, kRows>(product, i, j, mask);
  multiply_rest<kVectors, kRows - 1>(product, i, j, mask);
}

void multiply_tiles(const Tiled& product) {
  std::int64_t j = 0;
  for (; product.n - j > kLane; j += 2 * kLane) multiply_columns<2>(product, j, first(product.n - j - kLane));
  if (j < product.n) multiply_columns<1>(product, j, first(product.n - j));
}

void multiply(const SmallProduct& p) {
  static thread_local std::vector<float> scratch;
  const auto transposed = [](const float* matrix, std::int64_t rows, std::int64_t columns) {
    scratch.resize(std::max(scratch.size(), static_cast<std::size_t>(rows * columns)));
    transpose(matrix, rows, columns, scratch.data());
    return static_cast<const float*>(scratch.data());
  };
  // Few columns would leave most of a vector empty.
  if constexpr (kDots) {
    if (p.n <= 8 && p.k >= kLane && !p.transpose_a) {
      return multiply_by_dots(p.m, p.n, p.k, p.a, p.transpose_b ? p.b : transposed(p.b, p.k, p.n), p.add, p.c);
    }
  }
  if (p.n < kLane && p.m > p.n && p.transpose_a && !p.transpose_b && !p.add) {  // C^T = B^T A
    scratch.resize(std::max(scratch.size(), static_cast<std::size_t>(p.m * p.n)));
    multiply_tiles({p.b, 1, p.n, p.a, p.n, p.m, p.k, false, scratch.data()});
    return transpose(scratch.data(), p.n, p.m, p.c);
  }
  const std::int64_t a_row = p.transpose_a ? 1 : p.k, a_inner = p.transpose_a ? p.m : 1;
  multiply_tiles({p.a, a_row, a_inner, p.transpose_b ? transposed(p.b, p.n, p.k) : p.b, p.m, p.n, p.k, p.add, p.c});
}
