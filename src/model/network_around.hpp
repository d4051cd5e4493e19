// A network whose weights are those of another one, which it gives other inputs or outputs. Internal to this room.
#pragma once

#include <memory>
#include <utility>

#include "model/network.hpp"

namespace ae::model {

class NetworkAround : public Network {
 public:
  explicit NetworkAround(std::shared_ptr<Network> rows) : rows_(std::move(rows)) {}

  NamedTensors parameters() const override { return rows_->parameters(); }
  NamedTensors buffers() const override { return rows_->buffers(); }
  void set_training(bool on) override { rows_->set_training(on); }
  void to_double() override { rows_->to_double(); }

  std::int64_t latent_size() const override { return rows_->latent_size(); }
  bool variational() const override { return rows_->variational(); }
  bool answers_samples_apart() const override { return rows_->answers_samples_apart(); }
  bool uses_batch_statistics() const override { return rows_->uses_batch_statistics(); }
  std::int64_t members() const override { return rows_->members(); }

 protected:
  Network& rows() const { return *rows_; }

 private:
  std::shared_ptr<Network> rows_;
};

}  // namespace ae::model
