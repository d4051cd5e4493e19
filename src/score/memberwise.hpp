// Heads that judge by the network's answer, made fit for networks of several members. Internal to this room.
#pragma once

#include <utility>
#include <vector>

#include "score/combination.hpp"
#include "score/makers.hpp"

namespace ae::score {

// Of a single network, head H itself. Of several members, each is judged by an H of its own, as if it were alone, and
// the score is the mean of theirs, each over its median on normal rows (Combination, "ratio").
template <typename H>
class Memberwise final : public SampleHead {
 public:
  void fields(config::Fields& f) override { head_.fields(f); }
  void check(std::vector<config::Problem>& problems) const override { head_.check(problems); }
  bool judges(const model::Domain& domain) const override { return head_.judges(domain); }
  bool judges_rows_apart() const override { return head_.judges_rows_apart(); }

  void fit(const FitContext& context) override {
    take(context.autoencoder);
    if (members_.empty()) return head_.fit(context);
    for (std::size_t m = 0; m < members_.size(); ++m) {
      const FitContext own(member(context.autoencoder, m), context);
      members_[m].fit(own);
      combination_.fit(m, members_[m], own);
    }
  }

  Answer answer(const loss::Autoencoder& autoencoder, const model::Batch& batch,
                std::int64_t first_training) const override {
    if (members_.empty()) return head_.answer(autoencoder, batch, first_training);
    std::vector<Answer> answers;
    for (std::size_t m = 0; m < members_.size(); ++m) {
      answers.push_back(members_[m].answer(member(autoencoder, m), batch, first_training));
    }
    auto answer = combination_.combine(answers, batch.observed);
    answer.expected = agreed(answers, autoencoder.elements());
    return answer;
  }

  Arrays state() const override {
    if (members_.empty()) return head_.state();
    Arrays arrays = combination_.state();
    for (std::size_t m = 0; m < members_.size(); ++m) {
      data::put_under(arrays, std::to_string(m) + ".", members_[m].state());
    }
    return arrays;
  }

  void restore(const Arrays& arrays, const loss::Autoencoder& autoencoder) override {
    take(autoencoder);
    if (members_.empty()) return head_.restore(arrays, autoencoder);
    combination_.restore(arrays);
    for (std::size_t m = 0; m < members_.size(); ++m) {
      members_[m].restore(data::arrays_under(arrays, std::to_string(m) + "."), member(autoencoder, m));
    }
  }

 private:
  static const loss::Autoencoder& member(const loss::Autoencoder& autoencoder, std::size_t m) {
    return autoencoder.member(static_cast<std::int64_t>(m));
  }
  // What members of one kind expect together: the mean of numbers, the code that most of them name of categories.
  static at::Tensor agreed(const std::vector<Answer>& answers, const std::vector<model::Element>& elements) {
    std::vector<at::Tensor> expected;
    for (const auto& answer : answers) expected.push_back(answer.expected);
    const auto all = at::stack(expected);
    auto agreed = all.mean(0);
    for (std::size_t e = 0; e < elements.size(); ++e) {
      const auto element = static_cast<std::int64_t>(e);
      if (elements[e].categorical()) agreed.select(1, element).copy_(std::get<0>(all.select(2, element).mode(0)));
    }
    return agreed;
  }
  // One head with our options for each of several members.
  void take(const loss::Autoencoder& autoencoder) {
    const auto count = static_cast<std::size_t>(autoencoder.members());
    members_.assign(count > 1 ? count : 0, head_);
    combination_ = Combination("ratio", std::vector<double>(count, 1.0 / static_cast<double>(count)));
  }

  H head_;
  std::vector<H> members_;  // none of a single network
  Combination combination_;
};

}  // namespace ae::score
