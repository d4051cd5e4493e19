// The files that one run reads and writes beside each other.
#pragma once

#include <algorithm>
#include <filesystem>
#include <list>
#include <string>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "base/files.hpp"
#include "base/text.hpp"

namespace ae::apps {

// UsageError when what is text, and not compressed, would bear a name that says otherwise: whoever reads it would take
// it for something else.
inline void require_text_name(const std::string& path, const std::string& option) {
  static const std::vector<std::string> others{".gz",   ".zst",  ".bz2", ".xz",      ".zip",     ".npy", ".npz", ".h5",
                                               ".h5ad", ".hdf5", ".mtx", ".parquet", ".feather", ".xls", ".xlsx"};
  const auto ending = std::filesystem::path(path).extension().string();
  const auto same = [&](const std::string& other) {
    return std::ranges::equal(ending, other, [](char a, char b) { return (a >= 'A' && a <= 'Z' ? a + 32 : a) == b; });
  };
  if (std::ranges::none_of(others, same)) return;
  throw UsageError(option + " " + ae::quoted(path, 200) + ": what is written is text, not \"" + ending +
                   "\"; choose a name that says so, such as .csv, or write to - and compress that");
}

// UsageError for an output, by its option, that is an input of the run, or that another option writes.
inline void require_apart(const std::vector<std::string>& inputs,
                          const std::vector<std::pair<std::string, std::string>>& outputs) {
  for (auto at = outputs.begin(); at != outputs.end(); ++at) {
    const auto& [option, path] = *at;
    if (path.empty()) continue;
    std::error_code ignored;
    for (const auto& input : inputs) {
      if (input != "-" && path != "-" && std::filesystem::equivalent(input, path, ignored))
        throw UsageError(option + " " + ae::quoted(path, 200) + " is an input file; choose another name");
    }
    const auto whole = [](const std::string& name) {
      return name == "-" ? std::filesystem::path(name) : whole_path(name);
    };
    for (auto other = outputs.begin(); other != at; ++other) {
      if (!other->second.empty() && whole(other->second) == whole(path))
        throw UsageError(ae::join(std::vector<std::string>{other->first, option}, " and ") + " both write to " +
                         ae::quoted(path, 200) + "; choose different names");
    }
  }
}

// The file of a model that was given as its folder.
inline std::string model_file(const std::string& model) {
  std::error_code ignored;
  return std::filesystem::is_directory(model, ignored) ? (std::filesystem::path(model) / "model.safetensors").string()
                                                       : model;
}

// Opened before any work is done, and published together at its end. UsageError for an output that is an input of the
// run, or that another option writes, and when standard input, which can be read once, is to be several inputs.
// What is not committed leaves neither files nor folders behind.
class OutputFiles {
 public:
  OutputFiles(std::vector<std::string> inputs, bool overwrite) : inputs_(std::move(inputs)), overwrite_(overwrite) {
    if (std::count(inputs_.begin(), inputs_.end(), "-") > 1)
      throw UsageError("standard input can be only one of the files to read; give the others by name");
  }
  ~OutputFiles() {
    if (committed_) return;
    outputs_.clear();
    std::error_code ignored;  // of a folder that somebody else has put something in
    for (const auto& folder : made_) std::filesystem::remove(folder, ignored);
  }
  OutputFiles(const OutputFiles&) = delete;
  OutputFiles& operator=(const OutputFiles&) = delete;

  // A folder for outputs, made with those above it where they are not there. UsageError when something else has the
  // name, RunError when it cannot be made.
  std::filesystem::path folder(const std::string& path, const std::string& option) {
    std::error_code error;
    if (std::filesystem::exists(path, error) && !std::filesystem::is_directory(path, error))
      throw UsageError(option + " " + ae::quoted(path, 200) + " is no folder; give the name of one, or a new name");
    std::vector<std::filesystem::path> missing;  // innermost first
    for (auto at = whole_path(path); !std::filesystem::exists(at, error) && !error; at = at.parent_path())
      missing.push_back(at);
    std::filesystem::create_directories(path, error);
    if (error) throw RunError(path + ": cannot create the folder: " + error.message());
    made_.insert(made_.begin(), missing.begin(), missing.end());
    return path;
  }

  enum class Contents { text, as_named };
  // Null when the option was not given.
  Output* open(const std::string& path, const std::string& option, Contents contents = Contents::text) {
    if (path.empty()) return nullptr;
    if (contents == Contents::text) require_text_name(path, option);
    opened_.emplace_back(option, path);
    require_apart(inputs_, opened_);
    return &outputs_.emplace_back(Output::open(path, overwrite_));
  }
  // Standard output, for what people read; null when one of the options already writes there.
  Output* for_people() {
    for (const auto& [option, path] : opened_)
      if (path == "-") return nullptr;
    return &outputs_.emplace_back(Output::open("-", false));
  }

  void commit() {
    for (auto& output : outputs_) output.commit();
    committed_ = true;
  }

 private:
  std::vector<std::string> inputs_;
  bool overwrite_;
  bool committed_ = false;
  std::vector<std::filesystem::path> made_;  // by this run, innermost first
  std::vector<std::pair<std::string, std::string>> opened_;
  std::list<Output> outputs_;  // which stay where they are
};

}  // namespace ae::apps
