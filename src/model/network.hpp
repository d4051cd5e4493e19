// An autoencoder: encode and decode, and a registry of families that build one.
//
// Adding a family: one class in a .cpp of this room, its maker in model/makers.hpp and one line in families().
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "config/fields.hpp"
#include "model/batch.hpp"
#include "model/dense_plan.hpp"
#include "model/threads.hpp"

namespace ae::model {

// latent       [samples, latent], of image networks [samples, channels, height, width]: what decode() takes; a
// variational
//              network in evaluation gives the mean
// mean, log_variance, shaped like latent: of q(z|x), variational networks only (else undefined tensors)
struct Code {
  at::Tensor latent;
  at::Tensor mean;
  at::Tensor log_variance;
};

// prediction [samples, outputs and then constants] or [samples, outputs, height, width]: raw decoder outputs, laid out
//            by the loss composition
struct Output {
  at::Tensor prediction;
  Code code;
};

constexpr std::int64_t kParameterAlignment = 16;  // in numbers

using NamedTensors = std::vector<std::pair<std::string, at::Tensor>>;

// What is trained: tensors that an optimiser changes, and a switch between training and use.
class Parameters {
 public:
  virtual ~Parameters() = default;
  virtual NamedTensors parameters() const = 0;  // what the optimiser changes; stable order and names
  virtual NamedTensors buffers() const = 0;     // other state (running means)
  virtual void set_training(bool on) = 0;       // dropout, batch statistics, latent sampling
  virtual void to_double() = 0;                 // float64, for gradient checks

  NamedTensors state() const;  // parameters and buffers
  std::int64_t parameter_count() const;
};

// An autoencoding network.
//
// It may consist of several members of one shape, which share nothing and never influence each other. It then takes
// members() blocks of equally many samples, one after another (Batch::repeated); member m sees the m-th block, and
// codes and predictions come in the same blocks. Parameters and buffers are stacked: [members, shape of one member's].
class Network : public Parameters {
 public:
  virtual Code encode(const Batch& batch) = 0;
  virtual at::Tensor decode(const at::Tensor& latent) = 0;
  virtual Output forward(const Batch& batch);

  virtual std::int64_t latent_size() const = 0;
  virtual bool variational() const { return false; }
  // Whether forward(), in evaluation and without gradients, answers a sample the same whatever the batch around it;
  // else only in batches of one size.
  virtual bool answers_samples_apart() const { return false; }
  // Floating-point operations of one forward pass of one training sample, about.
  virtual double operations(const Domain&) const { return 2 * static_cast<double>(parameter_count()); }
  virtual Pool pool() const { return Pool::blas; }              // whose threads do the bulk of that
  virtual bool uses_batch_statistics() const { return false; }  // a training batch then needs at least two samples

  virtual std::int64_t members() const { return 1; }
  // Member m of several as a network of its own: always with the weights that it has here. Null of a single one.
  virtual std::shared_ptr<Network> member(std::int64_t) { return nullptr; }

  // Makes the biases of the outputs [outputs] begin so, where a network has them; NaN: as they are.
  virtual void begin_outputs(const at::Tensor&) {}

  // How to compute the network without LibTorch; nothing when it is not dense.
  virtual std::optional<DensePlan> dense_plan() const { return std::nullopt; }
  // How codes and outputs follow when it is factor analysis; else nothing.
  virtual std::optional<FactorPlan> factor_plan() const { return std::nullopt; }
  // Moves the parameters into one buffer [members, size], of which they are views from then on: those of a member lie
  // together, each at a multiple of kParameterAlignment, zeros between them. Only of networks with a dense_plan().
  virtual at::Tensor gather_parameters();
};

// What a family must know of the data and the loss to build a network.
struct Interface {
  Domain domain;
  std::int64_t outputs = 0;       // decoder outputs per sample or pixel, decided by the loss composition
  bool observed_matters = false;  // cells can be missing or masked, in training or by corruption
  // Further outputs that are the same for all samples and are trained with the network: how each begins.
  std::vector<double> constants{};
};

// Options of one family, read from "/model", and the maker of its network.
class Family : public config::Section {
 public:
  virtual std::unique_ptr<Network> build(const Interface& interface) const = 0;
  virtual bool variational() const { return false; }
  virtual bool has_network() const { return true; }     // false: what build() gives can be asked nothing
  virtual bool has_constants() const { return false; }  // Interface::constants
  virtual bool reads_grids() const { return false; }    // channels over a grid (images), else table rows
  // Whether build() can make a network for such samples.
  virtual bool reads(const Domain& domain) const { return reads_grids() == domain.gridded(); }
  virtual bool reads_any_size() const { return true; }  // of grids; false: that of Domain::grid alone
  // How many weights build() would allocate at least, without allocating any.
  virtual double weights(const Interface& interface) const = 0;
};

std::span<const config::Entry<Family>>
families();  // dense, linear, variational, factors; backbone, backbone_variational; of images dense_images, conv, unet,
             // conv_variational; none

}  // namespace ae::model
