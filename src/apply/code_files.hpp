// Files of latent codes, one class for each format; the name's extension chooses.
//
// Adding a format: a CodeFile in a .cpp of this room, and one line in code_formats().
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/files.hpp"

namespace ae::apply {

// The lines of a file of codes, in the order of the samples. Memory does not grow with them.
class CodeFile {
 public:
  virtual ~CodeFile() = default;
  // Once, first. `names` of the numbers of a code; `texts`: of what passes through.
  virtual void begin(const std::vector<std::string>& names, const std::vector<std::string>& texts) = 0;
  // `code`: as many numbers as names, or none of a sample that could not be read; a text for each of `texts`.
  virtual void add(std::string_view id, std::span<const float> code, std::span<const std::string> texts) = 0;
  virtual void flush() = 0;   // hands on what was added, where the format can be read from its beginning
  virtual void finish() = 0;  // after the last sample; Output::commit() is the caller's
};

struct CodeFormat {
  std::string_view extension;  // ".csv"
  // `inputs`: the files that the samples come from.
  std::unique_ptr<CodeFile> (*make)(Output& output, std::span<const std::string> inputs);
};

std::span<const CodeFormat> code_formats();  // .csv: id, codes, texts; .npy: the codes alone, float32; .h5ad: AnnData

// The format of a file's name, in letters of any case; of standard input or output ("-") the first. UsageError when it
// is none of them.
const CodeFormat& code_format(const std::string& path);

}  // namespace ae::apply
