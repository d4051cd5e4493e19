// What every kind of training data has in common: the base of the config section "/data".
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

#include "config/fields.hpp"

namespace ae::data {

class DataOptions : public config::Section {
 public:
  config::Path path;
  config::Path cache;  // a folder where the prepared data are kept, or empty: in memory. Changes no result.

 protected:
  void declare_cache(config::Fields& f) {
    f.path("cache", cache,
           "A folder where the prepared table or images are kept as a file that is mapped instead of held in memory, "
           "for data larger than it; empty keeps them in memory; no result depends on it.");
  }
};

// Which of the selected samples are kept out of fitting (scalers, levels, weights) to judge it.
struct HoldOut {
  double fraction = 0;     // of the selected samples, rounded; at least one stays for training
  std::uint64_t seed = 0;  // which ones
};

// Where an option's file lies: "-" and files set without a config file's folder stay as written.
std::filesystem::path file_of(const config::Path& path);

// Whether a label cell is one of `values`: the same text without surrounding blanks, or the same number ("1", "1.0").
// An empty label is none of them.
bool label_matches(std::string_view label, std::span<const std::string> values);

}  // namespace ae::data
