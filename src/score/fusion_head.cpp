// Several heads in one score.
#include <algorithm>
#include <numeric>

#include "score/combination.hpp"
#include "score/makers.hpp"

namespace ae::score {
namespace {

class Fusion final : public SampleHead {
 public:
  HeadList members{fusable_heads()};
  bool members_set = false;
  std::string combine = "ratio";
  std::vector<std::int64_t> weights;

  void fields(config::Fields& f) override {
    f.variants("members", members, members_set, "The heads that are fused, each with its own settings.");
    f.choice("combine", combine, Combination::kinds(), "How standardised scores become one.");
    f.integers("weights", weights, {1, 1000}, "How much each member counts; [] for all alike.");
  }
  void check(std::vector<config::Problem>& problems) const override {
    if (members.empty()) {
      problems.push_back({"/members",
                          "a fusion needs members; for example [{\"type\": \"neighbours\"}, "
                          "{\"type\": \"normalized\"}]"});
    }
    if (!weights.empty() && weights.size() != members.size()) {
      problems.push_back({"/weights", "found " + std::to_string(weights.size()) + " weights for " +
                                          std::to_string(members.size()) + " members; give one for each, or []"});
    }
  }

  bool judges(const model::Domain& domain) const override {
    return !domain.gridded() && std::all_of(members.begin(), members.end(), [&](const auto& member) {
      return member->for_samples() != nullptr && member->judges(domain);
    });
  }

  void fit(const FitContext& context) override {
    combination_ = combination();
    for (std::size_t m = 0; m < members.size(); ++m) {
      SampleHead& member = *members[m]->for_samples();
      member.fit(context);
      combination_.fit(m, member, context);
    }
  }

  Answer answer(const loss::Autoencoder& autoencoder, const model::Batch& batch,
                std::int64_t first_training) const override {
    std::vector<Answer> answers;
    for (const auto& member : members)
      answers.push_back(member->for_samples()->answer(autoencoder, batch, first_training));
    return combination_.combine(answers, batch.observed);
  }

  bool asks_network() const override {
    return std::any_of(members.begin(), members.end(), [](const auto& member) { return member->asks_network(); });
  }

  bool leaves_out() const override {
    return std::all_of(members.begin(), members.end(),
                       [](const auto& member) { return member->for_samples()->leaves_out(); });
  }

  Arrays state() const override {
    Arrays arrays = combination_.state();
    for (std::size_t m = 0; m < members.size(); ++m) {
      data::put_under(arrays, std::to_string(m) + ".", members[m]->state());
    }
    return arrays;
  }

  void restore(const Arrays& arrays, const loss::Autoencoder& autoencoder) override {
    combination_ = combination();
    combination_.restore(arrays);
    for (std::size_t m = 0; m < members.size(); ++m) {
      members[m]->restore(data::arrays_under(arrays, std::to_string(m) + "."), autoencoder);
    }
  }

 private:
  Combination combination() const {
    std::vector<double> shares(weights.begin(), weights.end());
    if (shares.empty()) shares.assign(members.size(), 1);
    const double sum = std::accumulate(shares.begin(), shares.end(), 0.0);
    for (double& share : shares) share /= sum;
    return {combine, shares};
  }

  Combination combination_;
};

}  // namespace

std::unique_ptr<Head> make_fusion() { return std::make_unique<Fusion>(); }

}  // namespace ae::score
