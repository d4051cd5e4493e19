// Samples as the networks and losses see them: values with the mask of what was observed, always together.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <numeric>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/images/geometry.hpp"
#include "data/tables/schema.hpp"

namespace ae::model {

// One element: a cell of a row, however many network inputs or outputs it takes; of an image, a channel.
struct Element {
  std::string name;
  std::int64_t codes = 0;  // categorical: training levels + 1 for unseen ones; numeric: 0
  bool constant = false;   // one value in training: scored, but never shown to the network
  bool channel = false;    // of an image: a value per pixel
  bool observed = true;    // some training sample had a value
  bool counts = false;     // values are log(1 + count / size of the sample)
  // Of numbers in tables: value in the unit of the data = center + spread * value in network units; `affine` where that
  // holds, but for what lies beyond any training value. Of a constant one the spread is 0.
  bool affine = false;
  double center = 0, spread = 1;
  bool categorical() const { return codes > 0; }
};

std::vector<Element> elements_of(const data::Schema& schema);

// What one sample is: the elements of a table row, or the channels of an image over a grid of pixels.
struct Domain {
  std::vector<Element> elements;
  std::vector<std::int64_t> grid;      // {} for rows; {height, width} of a training sample for images
  std::string_view plural = "tables";  // what such data are called in messages,
  std::string_view samples = "rows";   // and the samples of them
  Domain(std::vector<Element> elements, std::vector<std::int64_t> grid = {}, std::string_view plural = "tables",
         std::string_view samples = "rows")
      : elements(std::move(elements)), grid(std::move(grid)), plural(plural), samples(samples) {}
  bool gridded() const { return !grid.empty(); }
  std::int64_t positions() const {  // of the grid; 1 without
    return std::accumulate(grid.begin(), grid.end(), std::int64_t{1}, std::multiplies<>());
  }
  std::string_view noun() const { return plural; }
};

// Channels over the grid of a training sample.
Domain image_domain(const data::Geometry& geometry);

// values   [samples, elements] or [samples, channels, height, width] float: network units (scaled numbers, level codes,
//          pixels), 0 where not observed
// observed the same shape: 1 or 0
// sizes    [samples] float, > 0: of counts, by how much a sample has more of them than the median one; undefined: all 1
struct Batch {
  at::Tensor values;
  at::Tensor observed;
  at::Tensor sizes{};
  std::int64_t samples() const { return values.size(0); }
  Batch repeated(std::int64_t times) const;                 // all samples, then all of them again, ...
  Batch range(std::int64_t begin, std::int64_t end) const;  // views of some samples
};

// Copies a block into tensors.
Batch to_batch(const data::Block& block);

// Rows that lie elsewhere and are only read, [rows, elements] each; `owner` keeps them there.
Batch mapped_batch(const float* values, const float* observed, std::int64_t rows, std::int64_t elements,
                   std::shared_ptr<const void> owner);

// Rows of a table that networks and score heads take at once. Matrix products of different heights may differ in the
// last bit; with one height, which depends on the table's width alone, a row's answer does not depend on the rows it
// came with. 256, and of tables too wide for that so many, a power of two, that their cells stay within a budget.
std::int64_t piece_rows(std::int64_t elements);

// Rows of a table that are read and answered together: whole pieces, as many as stay within a budget of cells, but at
// least one for each of so many threads, and 4,096 rows at most. `width`: cells that a row takes on its way, not less
// than its elements.
std::int64_t block_rows(std::int64_t elements, std::int64_t width, int threads);

// Samples that can be drawn in any order: a training set.
class Samples {
 public:
  virtual ~Samples() = default;
  virtual std::int64_t size() const = 0;
  // For a training step, in the order of `indices`; augmented samples draw from torch's default generator.
  virtual Batch batch(const std::vector<std::int64_t>& indices) const = 0;
  virtual Batch range(std::int64_t begin, std::int64_t end) const = 0;  // as they are
  // What batch() gives, into plain arrays [indices, elements] each; `observed` null: it is not asked for.
  virtual void gather(std::span<const std::int64_t> indices, float* values, float* observed) const;
  // Likewise their sizes (see Batch), into [indices]; false when they have none: nothing is written.
  virtual bool gather_sizes(std::span<const std::int64_t>, float*) const { return false; }
  virtual bool has_missing() const = 0;  // some element of some sample is not observed
};

// A table's rows, in memory or mapped.
class TableSamples final : public Samples {
 public:
  explicit TableSamples(const data::Block& block) : TableSamples(to_batch(block)) {}
  explicit TableSamples(Batch all);
  std::int64_t size() const override { return all_.samples(); }
  Batch batch(const std::vector<std::int64_t>& indices) const override;
  Batch range(std::int64_t begin, std::int64_t end) const override;
  void gather(std::span<const std::int64_t> indices, float* values, float* observed) const override;
  bool has_missing() const override { return has_missing_; }

 private:
  Batch all_;  // contiguous
  bool has_missing_;
};

}  // namespace ae::model
