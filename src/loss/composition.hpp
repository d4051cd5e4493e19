// The weighted sum of terms over a batch, at three grains of one function:
//   element  e_ij = observed_ij * emphasis_ij * sum_t weight_t * loss_t(x_ij, prediction_ij)
//   sample   s_i  = sum_j e_ij / #observed_i + sum over per-sample terms of weight_t * loss_t(i)
//   batch    mean of s_i
// The emphasis is 1 but where training asks for more. What is not observed never enters. A sample with nothing observed
// has element mean 0. Of an image, every pixel of every channel is one j; terms are chosen by channel.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <string>
#include <vector>

#include "loss/term.hpp"

namespace ae::loss {

using TermList = config::VariantList<Term>;

// The config section "/loss".
struct LossOptions : config::Section {
  TermList terms{loss::terms()};
  bool terms_set = false;  // false: mse for numbers, cross_entropy for categories, kl for variational models
  void fields(config::Fields& f) override;
  // Fills in the default terms for this data and model, so that what is stored is what was used.
  void resolve(const std::vector<model::Element>& elements, bool variational);
};

struct Evaluation {
  at::Tensor elements;            // shaped like the batch: weighted, 0 where not observed
  std::vector<at::Tensor> parts;  // per term [samples]: its share of the sample's loss; they sum to `samples`
  at::Tensor samples;             // [samples]
};

constexpr double kRamped = 1e18;  // an epoch after every ramp

class Composition {
 public:
  // UsageError, with pointers below /loss/terms, when a term selects no element or one it cannot judge, an element is
  // judged by no term, or terms and model do not fit (kl without a variational model or the reverse).
  Composition(const TermList& terms, const model::Domain& domain, bool variational);

  std::int64_t outputs() const { return outputs_; }  // decoder outputs per sample or pixel
  // What follows them in a prediction, the same for all samples (see Term::constants()), and how they begin.
  const std::vector<double>& constants() const { return constants_; }
  // [outputs()] at which training begins (see Term::first_outputs()); undefined when no term says so. NaN where none
  // does.
  at::Tensor first_outputs(const model::Samples& samples) const;
  const model::Domain& domain() const { return domain_; }
  const std::vector<std::string>& part_names() const { return part_names_; }  // "mse", "mse_2" for the second one ...

  // `epoch` (fractional) drives ramps; the default is after every ramp, the value used for validation and scoring.
  // `emphasis` is shaped like the batch, >= 0; undefined = 1 everywhere.
  Evaluation evaluate(const model::Output& output, const model::Batch& target, double epoch = kRamped,
                      const at::Tensor& emphasis = {}) const;
  // The same as a model that is applied has it: without terms that are of training only.
  Evaluation applied(const model::Output& output, const model::Batch& target) const;
  at::Tensor expected(const at::Tensor& prediction) const;  // shaped like the batch, network units
  // One for each element: of categories the probability of each level that training saw [samples, levels], whose most
  // probable one is the expected one; undefined of numbers.
  std::vector<at::Tensor> probabilities(const at::Tensor& prediction) const;
  // Of counts: see Term. The first term that tells of an element tells, of amounts (all but draws of all counts) the
  // first of those that learn them before the others, and of expected values the other way round; undefined where an
  // element has none, but for conditional(), which then is what is expected.
  at::Tensor detection(const at::Tensor& prediction, const at::Tensor& sizes) const;
  at::Tensor conditional(const at::Tensor& prediction, const at::Tensor& sizes) const;
  at::Tensor draw(const at::Tensor& prediction, const at::Tensor& sizes, const CountDraw& what,
                  at::Generator& random) const;

  // evaluate() of one network's batch over plain arrays, with its gradient, for terms that are all fused().
  //   prediction [samples, outputs()], target [samples, elements]
  //   share      [samples, elements]: observed * emphasis / #observed of the sample
  //   mean, log_variance [samples, latent]: of variational networks, else null
  // Adds each term's mean over the samples to parts[term] and the derivatives of their sum to the gradients of mean and
  // log-variance; of a part of a batch, its share of the mean over the whole one, which has `whole` samples; writes
  // those of the prediction. They are shaped like what they belong to. `scratch` is memory that grows to what is
  // needed.
  struct FusedBatch {
    std::int64_t samples = 0;
    std::int64_t whole = 0;
    std::int64_t latent = 0;
    const float* prediction = nullptr;
    const float* target = nullptr;
    const float* share = nullptr;
    const float* mean = nullptr;
    const float* log_variance = nullptr;
    const float* plain_share = nullptr;  // without the emphasis
    const float* sizes = nullptr;        // [samples]; null: all 1
    const float* constants = nullptr;    // [constants()]
  };
  struct FusedGradient {
    float* prediction = nullptr;
    float* mean = nullptr;
    float* log_variance = nullptr;
    float* constants = nullptr;  // added to, as mean and log-variance
  };
  void fused(const FusedBatch& batch, double epoch, const FusedGradient& gradient, double* parts,
             std::vector<float>& scratch) const;
  // Pointers to the terms that are not, as "/loss/terms/0".
  std::vector<std::string> not_fused() const;

  // How the outputs are laid out, and which term judges which of them.
  struct Head {  // decoder outputs of one kind and width, contiguous
    std::string name;
    std::int64_t width = 1;           // outputs per element
    std::int64_t offset = 0;          // first output
    std::int64_t constants = 0;       // per element
    std::int64_t first_constant = 0;  // in constants()
    std::vector<std::int64_t> elements;
    const Term* owner = nullptr;  // gives the expected value
  };
  struct Use {  // a term's elements within one head
    std::size_t term = 0;
    std::size_t head = 0;
    std::vector<std::int64_t> elements;
    at::Tensor element_index;             // into the batch's elements; undefined = all, in order
    at::Tensor position_index;            // into the head's elements; undefined = all, in order
    std::vector<std::int64_t> positions;  // the same, never empty
    at::Tensor center, spread;            // [elements] double (see Judged)
  };
  const std::vector<Head>& heads() const { return heads_; }
  const std::vector<Use>& uses() const { return uses_; }
  const std::vector<const Term*>& terms() const { return terms_; }

  // UsageError when a term cannot judge these targets (bce outside [0, 1]), naming term and column.
  void check_targets(const model::Batch& batch) const;

 private:
  enum class Stage { training, application };
  Evaluation evaluated(const model::Output& output, const model::Batch& target, double epoch,
                       const at::Tensor& emphasis, Stage stage) const;
  at::Tensor slots(const at::Tensor& prediction, const Head& head) const;
  enum class Asked { expected, amounts };
  std::vector<const Head*> in_order(Asked asked) const;
  void declare_use(std::size_t term, const std::vector<std::int64_t>& elements);
  void place_heads();

  std::vector<const Term*> terms_;
  model::Domain domain_;
  std::vector<std::string> part_names_;
  std::vector<Head> heads_;
  std::vector<Use> uses_;
  std::int64_t outputs_ = 0;
  std::vector<double> constants_;
};

}  // namespace ae::loss
