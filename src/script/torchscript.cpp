#include "script/torchscript.hpp"

#include <torch/script.h>

#include <algorithm>
#include <limits>
#include <sstream>
#include <vector>

#include "base/text.hpp"
#include "model/activation.hpp"
#include "model/dtypes.hpp"

namespace ae::script {
namespace {

std::string text(std::int64_t number) { return std::to_string(number); }

class ModuleWriter {
 public:
  explicit ModuleWriter(const Exportable& model)
      : model_(model), network_(model.network), loss_(model.checkpoint.autoencoder().loss()) {}

  std::string write(const std::string& made_by) {
    const torch::NoGradGuard no_grad;
    put_attributes(made_by);
    put_scaling();
    write_scaled();
    write_unscaled();
    write_code();
    write_prediction();
    write_expected();
    write_codes_out();
    if (model_.scored) {
      write_loss();
      write_scores_out();
    } else {
      define("forward(self, x: Tensor) -> Tensor");
      line("return self.encode(x)");
    }
    module_.define(source_);
    std::ostringstream file;
    module_.save(file);
    return file.str();
  }

 private:
  std::int64_t columns() const { return std::ssize(model_.columns); }
  std::string members() const { return text(network_.members); }

  // --- Text ---
  void define(const std::string& signature) { source_ += "def " + signature + ":\n"; }
  void line(const std::string& statement) { source_ += "  " + statement + "\n"; }

  // --- What the text names ---
  std::string put(const std::string& name, const at::Tensor& tensor) {
    module_.register_buffer(name, tensor.contiguous());
    return "self." + name;
  }
  std::string put(const std::string& name, const std::vector<std::int64_t>& numbers) {
    return put(name, torch::tensor(numbers, torch::kInt64));
  }
  // One number for each column.
  template <typename Of>
  std::string put_column_numbers(const std::string& name, const Of& of) {
    std::vector<double> numbers;
    for (const auto* column : model_.columns) numbers.push_back(of(*column));
    return put(name, torch::tensor(numbers, torch::kFloat64));
  }
  // True for the columns that fit; empty when none does.
  template <typename Fits>
  std::string put_column_mask(const std::string& name, const Fits& fits) {
    auto mask = torch::zeros({columns()}, torch::kBool);
    for (std::int64_t c = 0; c < columns(); ++c)
      if (fits(*model_.columns[static_cast<std::size_t>(c)])) mask[c] = true;
    return mask.any().item<bool>() ? put(name, mask) : "";
  }

  void put_attributes(const std::string& made_by) {
    c10::List<std::string> names;
    c10::Dict<std::string, c10::List<std::string>> levels;
    for (const auto* column : model_.columns) {
      names.push_back(column->name);
      if (column->role != data::Role::categorical) continue;
      c10::List<std::string> own;
      for (const auto& level : column->levels) own.push_back(level);
      levels.insert(column->name, own);
    }
    const auto strings = c10::ListType::create(c10::StringType::get());
    module_.register_attribute("training", c10::BoolType::get(), false);
    module_.register_attribute("columns", strings, names);
    module_.register_attribute("levels", c10::DictType::create(c10::StringType::get(), strings), levels);
    module_.register_attribute("made_by", c10::StringType::get(), made_by);
  }

  // --- Columns ---
  static bool is_category(const data::Column& column) { return column.role == data::Role::categorical; }
  static bool is_constant(const data::Column& column) { return !is_category(column) && column.scaler.constant(); }

  void put_scaling() {
    put_column_numbers("center", [](const auto& c) { return is_category(c) ? 0 : c.scaler.center(); });
    put_column_numbers("spread", [](const auto& c) { return is_category(c) ? 1 : c.scaler.spread(); });
    constant_ = put_column_mask("constant", is_constant);
    categorical_ = put_column_mask("categorical", is_category);
    if (!categorical_.empty()) {
      put_column_numbers("unseen",
                         [](const auto& c) { return is_category(c) ? static_cast<double>(c.unseen_code()) : 0; });
    }
    put_quantiles();
  }

  // Of columns that are scaled by quantiles, piecewise linear functions: segment k, below knot k, goes through
  // (segment_values, segment_scores) with slope segment_slopes; the last lies above all knots. Fewer knots than other
  // columns have are filled up with infinity, which no value is above.
  void put_quantiles() {
    std::vector<std::int64_t> places;
    std::size_t most = 0;
    for (std::size_t c = 0; c < model_.columns.size(); ++c) {
      const auto knots = model_.columns[c]->scaler.knots().size();
      if (knots > 0) places.push_back(static_cast<std::int64_t>(c));
      most = std::max(most, knots);
    }
    if (places.empty()) return;
    const auto rows = std::ssize(places), knots = static_cast<std::int64_t>(most);
    const auto infinite = std::numeric_limits<double>::infinity();
    auto values = torch::full({rows, knots}, infinite, torch::kFloat64), scores = values.clone();
    auto segment_values = torch::zeros({rows, knots + 1}, torch::kFloat64);
    auto segment_scores = segment_values.clone(), segment_slopes = torch::ones_like(segment_values);
    for (std::int64_t q = 0; q < rows; ++q) {
      const auto& scaler = model_.columns[static_cast<std::size_t>(places[static_cast<std::size_t>(q)])]->scaler;
      const auto own = scaler.knots().size();
      for (std::size_t k = 0; k <= own; ++k) {
        const auto at = static_cast<std::int64_t>(k);
        const auto from = k == 0 ? 0 : k - 1;
        segment_values[q][at] = scaler.knots()[from];
        segment_scores[q][at] = scaler.scores()[from];
        segment_slopes[q][at] = k == 0 || k == own ? 1 / scaler.spread()
                                                   : (scaler.scores()[k] - scaler.scores()[from]) /
                                                         (scaler.knots()[k] - scaler.knots()[from]);
        if (k == own) continue;
        values[q][at] = scaler.knots()[k];
        scores[q][at] = scaler.scores()[k];
      }
    }
    quantile_ = put("quantile", places);
    put("knot_values", values);
    put("knot_scores", scores);
    put("segment_values", segment_values);
    put("segment_scores", segment_scores);
    put("segment_slopes", segment_slopes);
  }

  void write_scaled() {
    define("_scaled(self, x: Tensor) -> Tuple[Tensor, Tensor]");
    line("assert x.dim() == 2 and x.size(1) == " + text(columns()) + ", \"expected [n, " + text(columns()) +
         "]: rows of numbers in the order of the attribute columns\"");
    line("raw = x.to(self.center.dtype)");
    line("seen = torch.logical_not(torch.isnan(raw))");
    line("known = torch.where(seen, raw, self.center)");
    line("z = (known - self.center) / self.spread");
    if (!quantile_.empty()) {
      line("value = known.index_select(1, self.quantile).t().contiguous()");
      line("segment = torch.searchsorted(self.knot_values, value)");
      line("apart = value - self.segment_values.gather(1, segment)");
      line("score = self.segment_scores.gather(1, segment) + apart * self.segment_slopes.gather(1, segment)");
      line("z = z.index_copy(1, self.quantile, score.t())");
    }
    const auto largest = number_text(data::Scaler::kLargestScaled);
    line("z = z.clamp(-" + largest + ", " + largest + ")");
    if (!constant_.empty()) {
      line("off = known - self.center");
      line("same = off.abs() <= self.center.abs() * " + number_text(data::Scaler::kConstantTolerance));
      line("alarm = torch.where(same, torch.zeros_like(off), off.sign() * " +
           number_text(data::Scaler::constant_alarm()) + ")");
      line("z = torch.where(self.constant, alarm, z)");
    }
    if (!categorical_.empty()) {
      line("code = known.round()");
      line("code = torch.where(torch.logical_and(code >= 0, code <= self.unseen), code, self.unseen)");
      line("z = torch.where(self.categorical, code, z)");
    }
    line("observed = seen.to(z.dtype)");
    line("return z * observed, observed");
  }

  void write_unscaled() {
    define("_unscaled(self, z: Tensor) -> Tensor");
    line("x = self.center + z * self.spread");
    if (!quantile_.empty()) {
      line("score = z.index_select(1, self.quantile).t().contiguous()");
      line("segment = torch.searchsorted(self.knot_scores, score)");
      line("apart = score - self.segment_scores.gather(1, segment)");
      line("value = self.segment_values.gather(1, segment) + apart / self.segment_slopes.gather(1, segment)");
      line("x = x.index_copy(1, self.quantile, value.t())");
    }
    if (!constant_.empty()) line("x = torch.where(self.constant, self.center, x)");
    line("return x");
  }

  // --- Network ---
  // Statements that make x [members, n, in] x [members, n, out].
  void write_layers(const std::vector<PlainLayer>& layers, const std::string& name) {
    for (std::size_t l = 0; l < layers.size(); ++l) {
      const auto& layer = layers[l];
      const auto own = name + "_" + std::to_string(l);
      line("x = torch.baddbmm(" + put(own + "_bias", layer.bias) + ", x, " + put(own + "_weight", layer.weight) + ")");
      if (layer.scale.defined()) {
        line("x = torch.layer_norm(x, [" + text(layer.bias.size(2)) + "], None, None, " +
             number_text(model::kNormEpsilon) + ") * " + put(own + "_scale", layer.scale) + " + " +
             put(own + "_shift", layer.shift));
      }
      if (!layer.activation.empty()) line("x = " + model::activation_script(layer.activation));
    }
  }

  // Makes x [members, n, inputs] of z and observed [n, columns]; 4 is int64.
  void write_inputs() {
    const auto& stem = network_.stem;
    const auto of_all = [&](const std::string& rows) {
      return rows + ".unsqueeze(0).expand(" + members() + ", -1, -1)";
    };
    std::vector<std::string> parts;
    if (std::ssize(stem.numeric) == columns())
      parts.push_back(of_all("z"));
    else if (!stem.numeric.empty())
      parts.push_back(of_all("z.index_select(1, " + put("numeric", stem.numeric) + ")"));
    for (std::size_t c = 0; c < stem.categorical.size(); ++c) {
      const auto column = text(stem.categorical[c]), codes = text(stem.codes[c]), known = text(stem.codes[c] - 1);
      const auto code = "z.select(1, " + column + ").to(4)";
      const auto observed = " * observed.select(1, " + column + ").unsqueeze(1)";
      parts.push_back(stem.embeddings.empty() ? of_all("(torch.one_hot(" + code + ", " + codes + ").narrow(1, 0, " +
                                                       known + ").to(z.dtype)" + observed + ")")
                                              : put("embedding_" + column, stem.embeddings[c]) + ".index_select(1, " +
                                                    code + ")" + observed);
    }
    if (stem.show_observed) parts.push_back(of_all("observed"));
    line("x = torch.cat([" + ae::join(parts, ", ", parts.size()) + "], 2)");
  }

  void write_code() {
    define("_code(self, z: Tensor, observed: Tensor) -> Tensor");
    write_inputs();
    if (network_.factors) {
      write_factors();
    } else {
      write_layers(network_.encoder, "encoder");
    }
    line("return x");
  }

  void write_factors() {
    const auto& factors = *network_.factors;
    const auto count = text(network_.latent);
    put("element_of_input", factors.element_of_input);
    put("loadings", factors.loadings);
    put("factor_center", factors.center);
    put("precision", factors.precision);
    put("identity", torch::eye(network_.latent, torch::kFloat64));
    line("precision = observed.index_select(1, self.element_of_input).unsqueeze(0) * self.precision");
    line("squares = (self.loadings.unsqueeze(3) * self.loadings.unsqueeze(2)).flatten(2)");
    line("matrix = torch.bmm(precision, squares).reshape([-1, " + count + ", " + count + "]) + self.identity");
    line("side = torch.bmm(precision * (x - self.factor_center), self.loadings).reshape([-1, " + count + ", 1])");
    line("x = torch.cholesky_solve(side, torch.linalg_cholesky(matrix))");
    line("x = x.reshape([" + members() + ", z.size(0), " + count + "])");
  }

  // Of codes [members, n, latent]: [members, n, outputs].
  void write_prediction() {
    define("_prediction(self, code: Tensor) -> Tensor");
    line("x = code");
    write_layers(network_.decoder, "decoder");
    if (network_.beside) {
      line("x = x + torch.baddbmm(" + put("beside_bias", network_.beside->bias) + ", code, " +
           put("beside_weight", network_.beside->weight) + ")");
    }
    line("return x");
  }

  // --- Loss ---
  // Makes `prediction` [..., group, outputs of an element] of some of a head's elements in `outputs` [..., outputs].
  void write_slots(const loss::Composition::Head& head, const std::string& sizes,
                   const std::vector<std::int64_t>& positions, const std::string& name) {
    const auto count = std::ssize(head.elements);
    line("prediction = outputs.narrow(-1, " + text(head.offset) + ", " + text(count * head.width) + ").reshape([" +
         sizes + ", " + text(count) + ", " + text(head.width) + "])");
    if (std::ssize(positions) < count)
      line("prediction = prediction.index_select(-2, " + put(name + "_positions", positions) + ")");
  }

  // The first head that has an element tells what is expected.
  void write_expected() {
    define("_expected(self, all_outputs: Tensor) -> Tensor");
    line("outputs = all_outputs.mean(0)");
    line("values = outputs.new_zeros([outputs.size(0), " + text(columns()) + "])");
    std::vector<bool> told(model_.columns.size(), false);
    for (std::size_t h = 0; h < loss_.heads().size(); ++h) {
      const auto& head = loss_.heads()[h];
      std::vector<std::int64_t> elements, positions;
      for (std::size_t i = 0; i < head.elements.size(); ++i) {
        if (told[static_cast<std::size_t>(head.elements[i])]) continue;
        told[static_cast<std::size_t>(head.elements[i])] = true;
        elements.push_back(head.elements[i]);
        positions.push_back(static_cast<std::int64_t>(i));
      }
      if (elements.empty()) continue;
      const auto name = "head_" + std::to_string(h);
      write_slots(head, "outputs.size(0)", positions, name);
      line("values = values.index_copy(1, " + put(name + "_elements", elements) + ", " + head.owner->script().expected +
           ")");
    }
    line("return values");
  }

  void write_loss() {
    std::vector<std::string> sum;
    for (std::size_t u = 0; u < loss_.uses().size(); ++u) {
      const auto& use = loss_.uses()[u];
      const auto& term = *loss_.terms()[use.term];
      if (term.training_only()) continue;
      const auto name = "term_" + std::to_string(u);
      define("_" + name + "(self, outputs: Tensor, z: Tensor, observed: Tensor) -> Tensor");
      write_slots(loss_.heads()[use.head], "outputs.size(0), outputs.size(1)", use.positions, name);
      std::string own;
      if (std::ssize(use.elements) < columns()) own = ".index_select(1, " + put(name + "_elements", use.elements) + ")";
      line("target = z" + own + ".unsqueeze(0).expand(" + members() + ", -1, -1)");
      line("loss = " + term.script().loss);
      line("return (loss * observed" + own + ").sum(2) * " + number_text(term.weight));
      sum.push_back("self._" + name + "(outputs, z, observed)");
    }
    put("member_weights", member_weights());
    define("_loss(self, outputs: Tensor, z: Tensor, observed: Tensor) -> Tensor");
    line("total = " + ae::join(sum, " + ", sum.size()));
    line("return (total / observed.sum(1).clamp_min(1) * self.member_weights).sum(0)");
  }

  // [members, 1]: what the score of each counts (see score::Memberwise).
  at::Tensor member_weights() const {
    auto weights = torch::ones({network_.members, 1}, torch::kFloat64);
    if (network_.members == 1) return weights;
    const auto medians = model::to_tensor(model_.checkpoint.head().state().at("medians"));
    return weights / (static_cast<double>(network_.members) * medians.unsqueeze(1));
  }

  // --- What users call ---
  void write_codes_out() {
    define("encode(self, x: Tensor) -> Tensor");
    line("z, observed = self._scaled(x)");
    line("return self._code(z, observed).transpose(0, 1).flatten(1).to(x.dtype)");
    const auto codes = text(network_.members * network_.latent);
    define("decode(self, code: Tensor) -> Tensor");
    line("assert code.dim() == 2 and code.size(1) == " + codes + ", \"expected [n, " + codes + "]: rows of codes\"");
    line("own = code.to(self.center.dtype).reshape([code.size(0), " + members() + ", " + text(network_.latent) + "])");
    line("outputs = self._prediction(own.transpose(0, 1))");
    line("return self._unscaled(self._expected(outputs)).to(code.dtype)");
    define("reconstruct(self, x: Tensor) -> Tensor");
    line("z, observed = self._scaled(x)");
    line("return self._unscaled(self._expected(self._prediction(self._code(z, observed)))).to(x.dtype)");
  }

  void write_scores_out() {
    define("score(self, x: Tensor) -> Tensor");
    line("z, observed = self._scaled(x)");
    line("return self._loss(self._prediction(self._code(z, observed)), z, observed).to(x.dtype)");
    define("forward(self, x: Tensor) -> Tensor");
    line("z, observed = self._scaled(x)");
    line("code = self._code(z, observed)");
    line("loss = self._loss(self._prediction(code), z, observed)");
    line("return torch.cat([code.transpose(0, 1).flatten(1), loss.unsqueeze(1)], 1).to(x.dtype)");
  }

  const Exportable& model_;
  const PlainNetwork& network_;
  const loss::Composition& loss_;
  torch::jit::Module module_{"__torch__.aetools.Autoencoder"};
  std::string source_;
  std::string constant_, categorical_, quantile_;  // names, or "" when there are no such columns
};

}  // namespace

std::string torchscript(const Exportable& model, const std::string& made_by) {
  return ModuleWriter(model).write(made_by);
}

}  // namespace ae::script
