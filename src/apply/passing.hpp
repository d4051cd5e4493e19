// What passes through beside the latent codes of samples: ids, labels and kept columns.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "apply/code_files.hpp"
#include "base/reporter.hpp"
#include "recipe/sample_stream.hpp"

namespace ae::apply {

class Passing {
 public:
  // `codes`: the names of the numbers of a code. UsageError when a kept column has the name of another one.
  Passing(const data::Reading& reading, std::vector<std::string> codes);
  // To be called first; `labels`: there is a column of labels.
  void begin(CodeFile& file, bool labels);

  static std::string id_of(const recipe::SampleBlock& block, std::int64_t sample);
  static bool unread(const recipe::SampleBlock& block, std::int64_t sample);
  // As many as the file has columns for, once it has begun. Columns that the stream keeps behind those of `reading` do
  // not pass.
  std::vector<std::string> texts_of(const recipe::SampleBlock& block, std::int64_t sample) const;

 private:
  std::vector<std::string> codes_;
  std::vector<std::string> kept_;
  bool labels_ = false;
};

// RunError when a number of a sample's code is not finite.
void check_finite(std::span<const float> code, const std::string& id);

// InputError when there are no samples with a code, and that is not allowed, or none of those that are could be read.
void check_any(std::int64_t coded, const recipe::BadSamples& bad, bool allow_empty);

// Names some of the samples that could not be read.
class UnreadSamples {
 public:
  explicit UnreadSamples(Reporter& reporter) : reporter_(reporter) {}
  void tell(const std::string& problem);

 private:
  Reporter& reporter_;
  std::int64_t count_ = 0;
};

}  // namespace ae::apply
