#include "script/plumed.hpp"

#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "base/text.hpp"

namespace ae::script {
namespace {

constexpr std::int64_t kMostWritten = 100'000;  // numbers of an encoder that is written out
constexpr double kWallQuantile = 0.999;

// --- Labels ---

bool is_label(std::string_view name) {
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
  return !name.empty() && letter(name.front()) && name.back() != '.' &&
         std::ranges::all_of(name, [&](char c) { return letter(c) || (c >= '0' && c <= '9') || c == '-' || c == '.'; });
}

// The label that owns a value: "t" of "t.mean".
std::string owner_of(const std::string& label) { return label.substr(0, label.find('.')); }

class Labels {
 public:
  explicit Labels(const Exportable& model) {
    for (const auto* column : model.columns)
      if (is_label(column->name)) taken_.insert(owner_of(column->name));
    for (std::size_t c = 0; c < model.columns.size(); ++c) {
      const auto& name = model.columns[c]->name;
      arguments_.push_back(is_label(name) ? name : fresh("x" + std::to_string(c + 1)));
    }
  }
  const std::vector<std::string>& arguments() const { return arguments_; }
  std::string list() const { return ae::join(arguments_, ",", arguments_.size()); }
  // A label that no argument has.
  std::string fresh(std::string name) {
    while (!taken_.insert(name).second) name += '_';
    return name;
  }

 private:
  std::set<std::string> taken_;
  std::vector<std::string> arguments_;
};

// --- Parts of an input file ---

std::string arguments_text(const Exportable& model, const Labels& labels) {
  std::string text =
      "# The arguments, in the order of the model's columns and in the units of its training table. Define each of "
      "them\n"
      "# here, for example as d1: DISTANCE ATOMS=1,2. To try the network on a COLVAR file that has them, with\n"
      "# plumed driver --noatoms, take the # off the lines below.\n";
  std::set<std::string> read;
  for (std::size_t c = 0; c < model.columns.size(); ++c) {
    const auto& label = labels.arguments()[c];
    const auto owner = owner_of(label);
    if (!read.insert(owner).second) continue;  // one action reads all values that belong together
    std::vector<std::string> values;
    for (const auto& other : labels.arguments())
      if (owner_of(other) == owner) values.push_back(other);
    text += "#" + owner + ": READ FILE=COLVAR VALUES=" + ae::join(values, ",", values.size()) +
            " IGNORE_TIME IGNORE_FORCES";
    const auto& name = model.columns[c]->name;
    if (label != name) text += "  # column " + ae::quoted(name);
    text += '\n';
  }
  return text;
}

std::string codes_of(const std::string& label, std::int64_t codes) {
  std::vector<std::string> nodes;
  for (std::int64_t i = 0; i < codes; ++i) nodes.push_back(label + ".node-" + std::to_string(i));
  return ae::join(nodes, ",", nodes.size());
}

std::string bias_text(const std::string& label, const std::string& codes) {
  return "# The bias along the code. BARRIER, in PLUMED's unit of energy, is the highest one that is to be crossed; "
         "TEMP is\n"
         "# needed where the program does not tell it.\n" +
         label + ": OPES_METAD ARG=" + codes + " PACE=500 BARRIER=30 TEMP=300\n";
}

std::string print_text(const std::string& what) { return "PRINT FILE=COLVAR_CODE STRIDE=100 ARG=" + what + "\n"; }

// The smallest score that at least kWallQuantile of the calibration scores do not exceed.
double wall_of(const std::vector<double>& scores) {
  const auto rank = std::ceil(kWallQuantile * static_cast<double>(scores.size()));
  return scores[static_cast<std::size_t>(std::max(1.0, rank)) - 1];
}

// EPS makes KAPPA the energy at twice AT.
std::string wall_text(const Exportable& model, const PlumedOptions& options, const std::string& label,
                      const std::string& loss) {
  const auto& scores = model.checkpoint.calibration().sorted();
  const auto wall = [&](double at) {
    const auto number = number_text(at);
    return label + ": UPPER_WALLS ARG=" + loss + " AT=" + number + " EPS=" + number + " KAPPA=100 EXP=2\n";
  };
  std::string text =
      "# The wall keeps the simulation where the model knows its way: KAPPA, an energy, is what it costs at twice "
      "AT.\n";
  if (options.wall) return text + wall(*options.wall);
  if (scores.empty() || !(wall_of(scores) > 0))
    return text + "# The model has no calibration scores to suggest AT by; ae-export --wall LOSS writes a wall.\n";
  return text + "# AT is here the 99.9 % quantile of the scores of " + std::to_string(scores.size()) +
         " normal rows that were not trained on.\n#" + wall(wall_of(scores));
}

// --- The text form ---

struct TextLayer {
  at::Tensor weight, bias;  // [out, in], [out]
  std::string_view activation;
};

// Codes of factor analysis where everything is observed: (I + A^T D A)^-1 A^T D (x - c).
PlainLayer of_factors(const PlainFactors& factors) {
  const auto weighted = factors.loadings * factors.precision.transpose(1, 2);  // [1, inputs, factors]
  const auto matrix =
      torch::eye(factors.loadings.size(2), torch::kFloat64) + weighted.transpose(1, 2).matmul(factors.loadings);
  PlainLayer layer;
  layer.weight = torch::cholesky_solve(weighted.transpose(1, 2), torch::linalg_cholesky(matrix)).transpose(1, 2);
  layer.bias = -factors.center.matmul(layer.weight);
  return layer;
}

std::string obstacle(const Exportable& model, const std::vector<PlainLayer>& encoder) {
  if (model.network.members > 1) return "the model has several members";
  for (const auto* column : model.columns)
    if (!column->scaler.knots().empty()) return "column " + ae::quoted(column->name) + " is scaled by quantiles";
  std::int64_t numbers = 0;
  for (const auto& layer : encoder) {
    if (layer.scale.defined()) return "the encoder has layer normalisation";
    if (!layer.activation.empty() && layer.activation != "tanh")
      return "the encoder's activation is " + ae::quoted(layer.activation) + ", and ANN knows tanh";
    numbers += layer.weight.numel() + layer.bias.numel();
  }
  if (numbers > kMostWritten)
    return "the encoder has " + std::to_string(numbers) + " numbers, and more than " + std::to_string(kMostWritten) +
           " are not written out";
  return "";
}

// Of all columns in their own units, with everything observed, to the inputs of the first layer.
TextLayer first_layer(const Exportable& model, const PlainLayer& layer) {
  const auto& stem = model.network.stem;
  const auto columns = std::ssize(model.columns), numbers = std::ssize(stem.numeric);
  const auto own = layer.weight[0].t();  // [out, inputs]
  auto weight = torch::zeros({own.size(0), columns}, torch::kFloat64);
  auto bias = layer.bias[0][0].clone();
  for (std::int64_t i = 0; i < numbers; ++i) {
    const auto column = stem.numeric[static_cast<std::size_t>(i)];
    const auto& scaler = model.columns[static_cast<std::size_t>(column)]->scaler;
    const auto slope = own.select(1, i) / scaler.spread();
    weight.select(1, column).copy_(slope);
    bias -= slope * scaler.center();
  }
  if (stem.show_observed) bias += own.narrow(1, numbers, columns).sum(1);
  return {weight, bias, {}};
}

std::string numbers_text(const at::Tensor& tensor) {
  const auto flat = tensor.contiguous();
  std::string text;
  for (std::int64_t i = 0; i < flat.numel(); ++i) {
    if (i > 0) text += ',';
    append_number(text, flat.data_ptr<double>()[i]);
  }
  return text;
}

std::string layers_text(const std::vector<TextLayer>& layers) {
  std::string nodes = std::to_string(layers.front().weight.size(1)), activations, numbers;
  for (std::size_t l = 0; l < layers.size(); ++l) {
    const auto index = std::to_string(l);
    nodes += "," + std::to_string(layers[l].weight.size(0));
    activations += (l == 0 ? "" : ",") + std::string(layers[l].activation);
    numbers += "WEIGHTS" + index + "=" + numbers_text(layers[l].weight) + "\n";
    numbers += "BIASES" + index + "=" + numbers_text(layers[l].bias) + "\n";
  }
  return "NUM_LAYERS=" + std::to_string(layers.size() + 1) + "\nNUM_NODES=" + nodes + "\nACTIVATIONS=" + activations +
         "\n" + numbers;
}

}  // namespace

void check_for_plumed(const Exportable& model) {
  for (const auto* column : model.columns) {
    if (column->role != data::Role::categorical) continue;
    throw UsageError(model.checkpoint.name() + ": column " + ae::quoted(column->name) +
                     " holds categories, which are no variables of a simulation; set its role to \"ignore\" in "
                     "/data/columns, or give --torchscript");
  }
}

std::string plumed_input(const Exportable& model, const PlumedOptions& options) {
  Labels labels(model);
  const auto network = labels.fresh("cv"), bias = labels.fresh("opes"), wall = labels.fresh("wall");
  const auto codes = model.network.members * model.network.latent;
  const auto loss = network + ".node-" + std::to_string(codes);
  std::string text = "# Written by " + options.made_by + ".\n# Needs PLUMED with the modules pytorch and opes.\n\n" +
                     arguments_text(model, labels) + "\n";
  text += "# " + network + ".node-0 and on are the code" +
          (model.scored ? ", " + loss + " is the loss, how strange the configuration is to the model.\n" : ".\n");
  text += network + ": PYTORCH_MODEL FILE=" + options.module + " ARG=" + labels.list() + "\n\n";
  text += bias_text(bias, codes_of(network, codes)) + "\n";
  if (model.scored) text += wall_text(model, options, wall, loss) + "\n";
  return text + print_text(network + ".*," + bias + ".bias" + (options.wall ? "," + wall + ".bias" : ""));
}

std::optional<std::string> plumed_ann_input(const Exportable& model, const std::string& made_by, std::string& why_not) {
  const torch::NoGradGuard no_grad;
  const auto encoder = model.network.factors && model.network.members == 1
                           ? std::vector<PlainLayer>{of_factors(*model.network.factors)}
                           : model.network.encoder;
  why_not = obstacle(model, encoder);
  if (!why_not.empty()) return std::nullopt;
  std::vector<TextLayer> layers;
  for (const auto& layer : encoder) {
    layers.push_back(layers.empty() ? first_layer(model, layer) : TextLayer{layer.weight[0].t(), layer.bias[0][0], {}});
    layers.back().activation = layer.activation.empty() ? "Linear" : "Tanh";
  }
  Labels labels(model);
  const auto network = labels.fresh("ann"), bias = labels.fresh("opes");
  return "# Written by " + made_by +
         ".\n# Needs PLUMED with the modules annfunc and opes; gives the code without the loss.\n\n" +
         arguments_text(model, labels) + "\n# " + network + ".node-0 and on are the code.\n" + network +
         ": ANN ...\nARG=" + labels.list() + "\n" + layers_text(layers) + "...\n\n" +
         bias_text(bias, codes_of(network, model.network.latent)) + "\n" + print_text(network + ".*," + bias + ".bias");
}

}  // namespace ae::script
