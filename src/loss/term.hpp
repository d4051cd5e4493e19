// A loss term: its value per element (or per sample), the decoder head it needs, and the value it implies.
//
// Adding a term: one class in a .cpp of this room and one line in terms(). Help, JSON Schema, validation and the
// sweep tests follow from the registry.
#pragma once

#include <ATen/core/Generator.h>
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "config/fields.hpp"
#include "model/batch.hpp"
#include "model/network.hpp"

namespace ae::loss {

enum class Grain { element, sample };

// Elements of one kind, as a term judges them; of images all but the sizes have [height, width] behind.
struct Judged {
  at::Tensor prediction;  // [samples, group, outputs and then constants]
  at::Tensor target;      // [samples, group]
  at::Tensor observed;    // [samples, group]: 1 or 0
  at::Tensor emphasis;    // [samples, group], >= 0; undefined: 1 everywhere
  at::Tensor sizes;       // [samples, 1]; undefined: all 1 (see model::Batch)
  // [group] double, of elements that are affine (see model::Element); else of no meaning.
  at::Tensor center;
  at::Tensor spread;

  at::Tensor weights() const;  // observed times emphasis
  // Of such elements [samples, group], in the unit of the data.
  at::Tensor in_unit(const at::Tensor& values) const;
};

// Which counts are drawn.
struct CountDraw {
  bool detected = false;  // only of those above 0
  double depth = 1;       // of a reading this many times as deep as that of the samples
  bool whole = true;      // whole numbers; else what is read from the samples has been scaled
};

// What the samples of a training set have of an element of counts.
struct Typical {
  double norm = 0;      // all counts over the sum of the sizes
  double detected = 0;  // share of the samples that have any
  double amount = 0;    // mean value where there is any
};

class Term : public config::Section {
 public:
  double weight = 1;                 // >= 0
  std::vector<std::string> columns;  // wildcard patterns; empty = every element the term is made for

  void fields(config::Fields& f) override;
  virtual Grain grain() const { return Grain::element; }
  // Whether it asks a file beside the model, so that it counts in training only: a model that is applied opens no file.
  virtual bool training_only() const { return false; }
  // That file, which belongs to what is trained; empty: none.
  virtual std::filesystem::path file() const { return {}; }

  // --- terms of grain element ---
  // Whether the term can judge this element at all (numbers or categories).
  virtual bool accepts(const model::Element& element) const { return !element.categorical(); }
  // Elements belong together by so many, in their order: it takes a multiple of that.
  virtual std::int64_t record() const { return 1; }
  virtual bool needs_grid() const { return false; }  // pixels around an element; it then accepts channels only
  // Terms whose head has the same name share the decoder outputs of an element.
  virtual std::string_view head() const { return "value"; }
  virtual std::int64_t outputs(const model::Element&) const { return 1; }
  // Numbers of an element that are the same for all samples, and are learned with the network: each begins as this.
  virtual std::vector<double> constants() const { return {}; }
  // The outputs of an element at which training begins, so that it does not spend its steps on what is the same for all
  // samples; {}: whatever random weights give.
  virtual std::vector<double> first_outputs(const Typical&) const { return {}; }
  // The loss below times observed and emphasis: [samples, group]. Terms of counts, which need the sizes, and those
  // whose parts are not emphasised alike have it instead of the two below.
  virtual at::Tensor weighted_loss(const Judged& judged) const;
  // prediction [samples, group, outputs], target [samples, group] -> loss [samples, group], unweighted, >= 0; of images
  // all three have [height, width] behind
  virtual at::Tensor element_loss(const at::Tensor& prediction, const at::Tensor& target) const;
  // The same for terms that look at an element's neighbours: observed [samples, group, ...] is 1 or 0, and what is not
  // observed must not influence the others' loss. The value where observed is 0 does not count.
  virtual at::Tensor masked_loss(const at::Tensor& prediction, const at::Tensor& target, const at::Tensor&) const {
    return element_loss(prediction, target);
  }
  // prediction [samples, group, outputs and constants] -> expected value in network units [samples, group]; likewise
  virtual at::Tensor expected(const at::Tensor& prediction) const;
  // Likewise -> the probability of each level that training saw [samples, group, levels]; undefined of numbers
  virtual at::Tensor probabilities(const at::Tensor&) const { return {}; }
  // Of counts, sizes [samples, 1] or undefined: the probability that there is one at all, [samples, group], and the
  // value where there is, in network units: the mean count, of "hurdle" the mean logarithm. Undefined of terms that do
  // not tell.
  virtual at::Tensor detection(const at::Tensor& prediction, const at::Tensor& sizes) const;
  virtual at::Tensor conditional(const at::Tensor& prediction, const at::Tensor& sizes) const;
  // Whether the value where there is a count is what the term learns, and the expected value follows from it; of others
  // it is the other way round. A composition asks for each those that learn it, before the others.
  virtual bool learns_amounts() const { return false; }
  // Likewise, random: what another reading of the same samples may count, [samples, group], not in network units.
  // Undefined of terms that give no distribution, or not this one.
  virtual at::Tensor draw(const at::Tensor& prediction, const at::Tensor& sizes, const CountDraw& what,
                          at::Generator& random) const;
  // element_loss() and expected() as expressions of TorchScript, for models that leave the program (see script/): of
  // `prediction` [..., group, outputs] and, of the loss, `target` [..., group], both to [..., group]. Empty: the term
  // cannot be exported.
  struct Script {
    std::string loss;
    std::string expected;
  };
  virtual Script script() const { return {}; }
  // What is wrong with these targets for this term ("values outside [0, 1]"), or "". target [samples], observed ones
  // only
  virtual std::string complaint(const at::Tensor& target) const;

  // Fused value and gradient, by which the dense engine trains; a term without one is trained by autograd. Plain
  // arrays: prediction [count, outputs], target [count] -> loss [count] and gradient [count, outputs], its derivative.
  virtual bool fused() const { return false; }
  virtual void fused_loss(const float* prediction, const float* target, std::int64_t count, std::int64_t outputs,
                          float* loss, float* gradient) const;

  // Instead, of terms that have constants or need sizes: all rows of a batch at once. Returns the sum of loss * share;
  // adds `factor` times the derivatives of that sum to the gradients.
  struct Rows {
    std::int64_t samples = 0, group = 0;
    std::int64_t stride = 0;             // from the outputs of a row to those of the next
    const float* prediction = nullptr;   // [samples, group, outputs]
    const float* target = nullptr;       // [samples, group], and the next two
    const float* share = nullptr;        // observed * emphasis / #observed of the sample
    const float* plain_share = nullptr;  // without the emphasis
    const float* sizes = nullptr;        // [samples]; null: all 1
    const float* constants = nullptr;    // [group, constants]
    float factor = 1;
    float* gradient = nullptr;            // as the prediction
    float* constants_gradient = nullptr;  // as the constants
  };
  virtual bool fused_by_rows() const { return false; }
  virtual double fused_rows(const Rows& rows) const;

  // --- terms of grain sample ---
  // -> [samples], unweighted, >= 0. `elements` = elements per sample, to bring sums to the scale of element means.
  virtual at::Tensor sample_loss(const model::Code& code, std::int64_t elements) const;
  // Fused, of one sample: returns its loss and adds `factor` times the derivatives to the gradients. All arrays
  // [latent]; null, with `latent` 0, of a network that is not variational, which needs_variational() keeps away.
  virtual double fused_sample_loss(const float* mean, const float* log_variance, std::int64_t latent,
                                   std::int64_t elements, float factor, float* mean_gradient,
                                   float* log_variance_gradient) const;
  virtual bool needs_variational() const { return false; }  // mean and log_variance
  // Multiplies the weight while training; `epoch` is fractional, 0 at the start.
  virtual double ramp(double epoch) const;
};

std::span<const config::Entry<Term>> terms();  // mse, l1, huber, bce, cross_entropy, kl, value; of images ssim ...; of
                                               // counts poisson ...; of backbones bond ...

}  // namespace ae::loss
