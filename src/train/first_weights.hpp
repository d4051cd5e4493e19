// Training that begins with the weights of a finished model instead of random ones.
#pragma once

#include <filesystem>
#include <string>

#include "recipe/kind.hpp"
#include "recipe/tensor_io.hpp"

namespace ae::train {

class FirstWeights {
 public:
  // `path`: a model file or the folder that ae-train wrote. InputError when it is none, or damaged.
  static FirstWeights open(const std::filesystem::path& path);

  const std::string& name() const { return name_; }
  const std::string& sha256() const { return sha256_; }  // of the file
  // UsageError, which names the first difference, unless the model has exactly these weights, names and shapes alike,
  // and, of a table, was made for the same columns in the same order, with the same levels.
  void give_to(const model::NamedTensors& weights, const recipe::Kind& kind) const;

 private:
  void check_columns(const recipe::Kind& kind) const;
  void check_shapes(const model::NamedTensors& weights) const;

  std::string name_;
  std::string sha256_;
  recipe::Metadata metadata_;
  recipe::Arrays weights_;  // unprefixed
};

}  // namespace ae::train
