// Input for PLUMED, the plugin of molecular dynamics programs: the code of a model as a collective variable that can be
// biased, and its loss as one that can be kept low.
//
// Columns of the model's table are the arguments, in their order. A column whose name is no label of PLUMED's is called
// x1, x2, ... by its place.
#pragma once

#include <optional>
#include <string>

#include "script/exportable.hpp"

namespace ae::script {

struct PlumedOptions {
  std::string module;          // file name of the TorchScript module
  std::optional<double> wall;  // loss above which a wall pushes back; else it is there as a comment
  std::string made_by;
};

// UsageError when the model has categorical columns, which are no variables of a simulation.
void check_for_plumed(const Exportable& model);

// By the action PYTORCH_MODEL, for PLUMED with LibTorch: node-0, ... are the code, the last one is the loss.
std::string plumed_input(const Exportable& model, const PlumedOptions& options);

// The code alone as numbers in the text, for PLUMED without LibTorch: by the action ANN, which knows layers without
// activation and with tanh. In float64, scaling is part of the first layer. Nothing, and `why_not`, for encoders that
// it cannot compute or that are too large to be written out.
std::optional<std::string> plumed_ann_input(const Exportable& model, const std::string& made_by, std::string& why_not);

}  // namespace ae::script
