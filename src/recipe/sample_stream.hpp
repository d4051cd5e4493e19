// New samples of some kind of data, block by block, at constant memory: what the programs around a model read, and how
// they write samples back.
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/files.hpp"
#include "model/batch.hpp"

namespace ae::recipe {

struct StreamOptions {
  std::vector<std::string> inputs;  // files; "-" is standard input
  bool keep_texts = false;          // for SampleStream::observed_text() and copies
  // Only some samples of several inputs, whose numbers are then known.
  struct Share {
    std::int64_t first = 0, end = 0;  // counted over all inputs
    std::vector<std::int64_t> sizes;  // samples of each input
  };
  std::optional<Share> share;
  data::Reading reading;     // of tables, beyond what the model knows
  bool allow_empty = false;  // no samples are no error
  int threads = 0;           // 0 = as many as there are; with more than one, blocks are read while others are visited
};

struct SampleBlock {
  model::Batch batch;
  std::vector<std::int64_t> numbers;  // 0-based, counted on from input to input
  std::vector<std::string> ids;       // one per sample, or empty: the number is the id
  std::vector<std::string> labels;    // one per sample, or empty: none has one
  std::vector<std::string> problems;  // of samples that could not be read, why not; empty when all could
  std::vector<std::string> kept;      // texts that pass through, sample by sample

  const std::string& kept_text(std::int64_t sample, std::size_t column) const {
    const auto columns = kept.size() / static_cast<std::size_t>(batch.samples());
    return kept[static_cast<std::size_t>(sample) * columns + column];
  }
};

// Samples that could not be read, and where the first of them is.
struct BadSamples {
  std::int64_t count = 0;
  std::string first;
};

// How a restored number is written: with all its digits, with as many decimals as its column had in training, and
// whole where the column was.
enum class Digits { all, of_column, whole_too };

// Samples as they came, with some elements replaced, in the format that they came in.
class SampleCopy {
 public:
  virtual ~SampleCopy() = default;
  // A sample of the block being visited. `replaced` gives the new value of an element, in network units, or nothing: it
  // stays as it is, byte for byte. `extra` holds one number for each further column.
  using Replaced = std::function<std::optional<double>(std::size_t element)>;
  virtual void add(std::int64_t sample, const Replaced& replaced, std::initializer_list<double> extra = {}) = 0;
  // A sample that could not be read, byte for byte; not at all where it does not fit the columns.
  virtual void add_unread(std::int64_t sample) = 0;
  virtual void flush() = 0;           // writes what was added; at least the header
  virtual void finish() { flush(); }  // behind the last sample
};

class SampleStream {
 public:
  using Visit = std::function<void(const SampleBlock& block)>;
  virtual ~SampleStream() = default;

  // Calls `visit` on this thread for every block, in order. A block ends early when the input would make us wait, so
  // that what is there can be answered at once. InputError when an input has no samples. Stop signals end it by
  // Interrupted.
  virtual void for_each(const Visit& visit) = 0;
  // Opens every input, as for_each() does, and counts its samples; errors as far as they show without a look at them.
  // `visit`, if given, is called when an input is open.
  virtual std::vector<std::int64_t> count(const std::function<void()>& visit) = 0;

  virtual bool heeds_reading() const { return false; }  // StreamOptions::reading

  // --- of the input being visited ---
  virtual bool has_labels() const = 0;
  virtual BadSamples bad() const { return {}; }  // of all inputs so far

  // --- of the block being visited ---
  // An element as the user wrote it; needs keep_texts.
  virtual std::string observed_text(std::int64_t sample, std::size_t element) const = 0;
  // A value restored from network units as text, as the kind's files would hold it.
  virtual std::string value_text(std::size_t element, double value, Digits digits = Digits::all) const = 0;
  // Writes the samples of all blocks to come to `output`; needs keep_texts. Null when this kind cannot be written.
  virtual std::unique_ptr<SampleCopy> copy(Output& output, std::vector<std::string> extra_columns,
                                           Digits digits = Digits::all) = 0;
};

}  // namespace ae::recipe
