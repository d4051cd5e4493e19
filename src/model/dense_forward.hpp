// Forward passes of dense networks over plain arrays, without LibTorch. All matrices are [rows, ...], row after row.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "model/activation.hpp"
#include "model/dense_plan.hpp"

namespace ae::model {

// Arrays in one piece of memory, each at a multiple of 64 bytes.
class Arena {
 public:
  // Calls layout(take), where take(count) gives the place of an array of so many numbers; twice, and the second time
  // the places are good. What they hold is 0.
  template <typename Layout>
  void lay_out(const Layout& layout) {
    constexpr std::int64_t kAligned = 64 / sizeof(float);
    std::int64_t size = 0;
    float* memory = memory_.data();
    const auto take = [&](std::int64_t count) {
      float* place = memory == nullptr ? nullptr : memory + size;
      size += (count + kAligned - 1) / kAligned * kAligned;
      return place;
    };
    layout(take);
    memory_.assign(static_cast<std::size_t>(size + kAligned), 0.0f);
    const auto beyond = reinterpret_cast<std::uintptr_t>(memory_.data()) % 64;
    memory = memory_.data() + (64 - beyond) % 64 / sizeof(float);
    size = 0;
    layout(take);
  }

 private:
  std::vector<float> memory_;
};

// Rows that are part of a batch. What is drawn for them is what the whole batch would draw for them.
struct PlainRows {
  std::int64_t count = 0;
  const float* values = nullptr;    // [count, elements], and the next; see model::Batch
  const float* observed = nullptr;  // null: all are
  std::int64_t first = 0;           // position in the batch, which has `whole` rows
  std::int64_t whole = 0;
};

// One member of a network. Refers to the tensors of the plan, which must outlive it and stay where they are.
class DenseForward {
 public:
  struct Affine {
    std::int64_t in = 0, out = 0;
    bool tied = false;
    const float* weight = nullptr;
    const float* bias = nullptr;
  };
  struct Layer {
    Affine affine;
    NormKind norm = NormKind::none;
    const float* scale = nullptr;  // and the others: of a norm
    const float* shift = nullptr;
    float* running_mean = nullptr;  // and the others: of batch normalisation
    float* running_variance = nullptr;
    std::int64_t* batches = nullptr;
    ActivationKernel activation = nullptr;  // null: none
    float dropout = 0;
  };

  // What a pass leaves behind, of use to go back. For one thread and networks of one shape.
  struct Workspace {
    struct OfLayer {
      float* value = nullptr;       // the layer's output
      float* slope = nullptr;       // its derivative by what the activation takes; when training
      float* normalised = nullptr;  // with a norm only, and the next
      float* inverse_deviation = nullptr;
    };
    std::int64_t rows = 0;   // room for so many
    std::int64_t whole = 0;  // and for the draws of so many
    Arena arena;
    PlainRows entered;
    float* input_memory = nullptr;
    const float* input = nullptr;
    std::vector<OfLayer> layers;
    float *mean = nullptr, *variance = nullptr, *draws = nullptr;
    // Of variational networks [rows, latent]: log-variance, clamped; 1 where it was within the limits; its standard
    // deviation; the noise and the code drawn by it.
    float *log_variance = nullptr, *inside = nullptr, *deviation = nullptr, *noise = nullptr, *latent = nullptr;
  };

  DenseForward(std::shared_ptr<const DensePlan> plan, std::int64_t member);

  // Returns the prediction [rows, outputs], in the workspace. Training: with batch statistics, dropout and codes drawn
  // by `key`.
  const float* run(Workspace& workspace, const PlainRows& rows, bool training, std::uint64_t key) const;

  const DensePlan& plan() const { return *plan_; }
  const std::vector<Layer>& layers() const { return layers_; }
  bool variational() const { return !log_variance_.empty(); }
  const Affine& log_variance() const { return log_variance_.front(); }
  const float* constants() const { return constants_; }                        // null when there are none
  const std::vector<const float*>& embeddings() const { return embeddings_; }  // of each categorical element, or none
  std::int64_t widest() const;                                                 // of all layers and the input
  std::int64_t code_of(const PlainRows& rows, std::int64_t row, std::size_t category) const;
  // What a layer takes, after a pass.
  const float* input_of(const Workspace& workspace, std::size_t layer) const;

 private:
  void reserve(Workspace& w, const PlainRows& rows) const;
  void enter(Workspace& w, const PlainRows& rows) const;
  const float* forward(Workspace& w, std::size_t l, const float* x, bool training, std::uint64_t key) const;
  void normalise(Workspace& w, std::size_t l, std::int64_t rows, bool training) const;

  std::shared_ptr<const DensePlan> plan_;
  std::int64_t elements_ = 0;
  std::vector<Layer> layers_;
  std::vector<Affine> log_variance_;  // one or none
  std::vector<const float*> embeddings_;
  const float* constants_ = nullptr;
};

}  // namespace ae::model
