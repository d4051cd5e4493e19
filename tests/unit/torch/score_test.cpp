#include <gtest/gtest.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <cmath>
#include <set>

#include "base/error.hpp"
#include "base/random.hpp"
#include "config/document.hpp"
#include "score/head.hpp"
#include "score/neighbours.hpp"
#include "score/residuals.hpp"
#include "support/recording_reporter.hpp"

namespace ae::score::score_test {
namespace {

torch::Tensor waves(std::int64_t n, std::int64_t p) {
  auto x = torch::zeros({n, p}, torch::kFloat64);
  for (std::int64_t i = 0; i < n; ++i) {
    for (std::int64_t j = 0; j < p; ++j) {
      x[i][j] = std::sin(static_cast<double>(1 + 3 * i + 5 * j * j)) * static_cast<double>(1 + j);
    }
  }
  return x;
}

torch::Tensor dense(const Spectral& matrix) { return matrix.apply(torch::eye(matrix.features(), torch::kFloat64)); }

// scikit-learn 1.2.1: sklearn.covariance.ledoit_wolf(X, assume_centered=True) of the same numbers.
TEST(LedoitWolf, AgreesWithScikitLearnWhenRowsOutnumberFeatures) {
  const auto x = waves(12, 4);
  const auto s = dense(ledoit_wolf(x, torch::ones_like(x)));
  EXPECT_NEAR(s[0][0].item<double>(), 0.307357593410, 1e-10);
  EXPECT_NEAR(s[0][1].item<double>(), -0.105436367425, 1e-10);
  EXPECT_NEAR(s[2][3].item<double>(), 8.851450223771, 1e-10);
  EXPECT_NEAR(s[3][3].item<double>(), 11.601971613552, 1e-10);
}

TEST(LedoitWolf, AgreesWithScikitLearnWhenFeaturesOutnumberRows) {
  const auto x = waves(5, 9);
  const auto matrix = ledoit_wolf(x, torch::ones_like(x));
  EXPECT_LE(matrix.directions.size(0), 5);
  const auto s = dense(matrix);
  EXPECT_NEAR(s[0][0].item<double>(), 0.781500880533, 1e-10);
  EXPECT_NEAR(s[0][1].item<double>(), -0.611264711175, 1e-10);
  EXPECT_NEAR(s[2][3].item<double>(), 10.618936467587, 1e-10);
  EXPECT_NEAR(s[8][8].item<double>(), 8.785986236428, 1e-10);
  const auto inverse = dense(matrix.power(-1));
  EXPECT_NEAR(inverse[0][1].item<double>(), -0.003405104386, 1e-10);
  EXPECT_TRUE(torch::allclose(inverse.mm(s), torch::eye(9, torch::kFloat64), 1e-9, 1e-9));
  const auto root = dense(matrix.power(-0.5));
  EXPECT_TRUE(torch::allclose(root.mm(root), inverse, 1e-9, 1e-9));
  EXPECT_TRUE(torch::allclose(matrix.power(-1).diagonal(), inverse.diagonal(), 1e-9, 1e-9));
}

TEST(LedoitWolf, SurvivesNothingToLearnFrom) {
  for (const auto& rows : {torch::zeros({0, 3}, torch::kFloat64), torch::zeros({4, 3}, torch::kFloat64),
                           torch::ones({1, 3}, torch::kFloat64)}) {
    const auto inverse = dense(ledoit_wolf(rows, torch::ones_like(rows)).power(-1));
    EXPECT_TRUE(torch::isfinite(inverse).all().item<bool>());
    EXPECT_GT(torch::linalg_eigvalsh(inverse).min().item<double>(), 0);
  }
}

TEST(ResidualJudge, MahalanobisIsTheClosedFormAlsoOfPartlyObservedRows) {
  torch::manual_seed(1);
  const auto rows = torch::randn({300, 5}, torch::kFloat64).mm(torch::randn({5, 5}, torch::kFloat64));
  const auto judge = ResidualJudge::fit("mahalanobis", rows, torch::ones_like(rows));
  const auto s = dense(judge.covariance());
  const auto r = torch::randn({1, 5}, torch::kFloat64);
  const auto all = judge.judge(r, torch::ones_like(r));
  EXPECT_NEAR(all.distance.item<double>(), r.mm(s.inverse()).mm(r.t()).item<double>(), 1e-9);
  // Without features 1 and 3: the inverse of the covariance of the others.
  const auto seen = torch::tensor({{1.0, 0.0, 1.0, 0.0, 1.0}}, torch::kFloat64);
  const auto index = torch::tensor({0, 2, 4}, torch::kInt64);
  const auto marginal = s.index_select(0, index).index_select(1, index).inverse();
  const auto part = r.index_select(1, index);
  const auto some = judge.judge(r, seen);
  EXPECT_NEAR(some.distance.item<double>(), part.mm(marginal).mm(part.t()).item<double>(), 1e-8);
  EXPECT_EQ(some.gradient[0][1].item<double>(), 0);
  const auto other = torch::where(seen > 0, r, torch::full_like(r, 77.0));
  EXPECT_EQ(judge.judge(other, seen).distance.item<double>(), some.distance.item<double>());
}

TEST(ResidualJudge, TakesARowOutOfWhatItIsJudgedBy) {
  torch::manual_seed(8);
  const auto rows = torch::randn({40, 3}, torch::kFloat64).mm(torch::randn({3, 3}, torch::kFloat64));
  const auto observed = torch::ones_like(rows);
  const auto own = torch::ones({40}, torch::kFloat64);
  const auto normalized = ResidualJudge::fit("normalized", rows, observed).judge(rows, observed, own);
  const auto mahalanobis = ResidualJudge::fit("mahalanobis", rows, observed).judge(rows, observed, own);
  double weight = 0;
  const auto s = dense(ledoit_wolf(rows, observed, &weight));
  for (std::int64_t i = 0; i < 40; ++i) {
    const auto others = torch::cat({rows.narrow(0, 0, i), rows.narrow(0, i + 1, 39 - i)});
    const auto alone = ResidualJudge::fit("normalized", others, torch::ones_like(others));
    EXPECT_NEAR(normalized.distance[i].item<double>(),
                alone.judge(rows.narrow(0, i, 1), observed.narrow(0, i, 1)).distance.item<double>(), 1e-9);
    const auto r = rows.narrow(0, i, 1);
    const auto without = (s - weight * r.t().mm(r)).inverse();
    EXPECT_NEAR(mahalanobis.distance[i].item<double>(), r.mm(without).mm(r.t()).item<double>(), 1e-8);
  }
}

// More rows than a learner keeps, in blocks of several sizes, against all of them at once.
TEST(ResidualJudge, LearnsBlockByBlockWhatItLearnsAtOnce) {
  torch::manual_seed(9);
  constexpr std::int64_t kRows = 40000;
  const auto mixing = torch::randn({5, 5}, torch::kFloat64);
  for (const double missing : {0.0, 0.3}) {
    const auto observed = (torch::rand({kRows, 5}) >= missing).to(torch::kFloat64);
    const auto rows = torch::randn({kRows, 5}, torch::kFloat64).mm(mixing) * observed;
    for (const auto* kind : {"loss", "normalized", "mahalanobis"}) {
      ResidualJudge::Learner learner(kind);
      for (std::int64_t begin = 0, height = 1; begin < kRows; begin += height, height = height % 7000 + 1234) {
        const std::int64_t count = std::min(height, kRows - begin);
        learner.add(rows.narrow(0, begin, count), observed.narrow(0, begin, count));
      }
      const auto own = torch::arange(50) % 2;
      const auto some = rows.narrow(0, 100, 50), seen = observed.narrow(0, 100, 50);
      const auto ours = learner.judge().judge(some, seen, own);
      const auto theirs = ResidualJudge::fit(kind, rows, observed).judge(some, seen, own);
      EXPECT_TRUE(torch::allclose(ours.distance, theirs.distance, 1e-9, 1e-12)) << kind << " " << missing;
      EXPECT_TRUE(torch::allclose(ours.gradient, theirs.gradient, 1e-8, 1e-10)) << kind << " " << missing;
    }
  }
}

TEST(Blame, GivesTheOneCorruptedFeatureTheLargestShare) {
  torch::manual_seed(2);
  const auto rows = torch::randn({500, 6}, torch::kFloat64).mm(torch::randn({6, 6}, torch::kFloat64));
  const auto judge = ResidualJudge::fit("mahalanobis", rows, torch::ones_like(rows));
  for (std::int64_t j = 0; j < 6; ++j) {
    auto r = torch::zeros({1, 6}, torch::kFloat64);
    r[0][j] = 3;
    const auto verdict = judge.judge(r, torch::ones_like(r));
    const auto shares = blame(verdict.gradient, judge.diagonal(), verdict.distance);
    EXPECT_EQ(shares.argmax().item<std::int64_t>(), j);
    EXPECT_NEAR(shares.sum().item<double>(), verdict.distance.item<double>(), 1e-9);
    EXPECT_GE(shares.min().item<double>(), 0);
  }
}

// --- Neighbours ---

std::vector<std::pair<double, std::int64_t>> brute_force(const torch::Tensor& query, const torch::Tensor& seen,
                                                         const torch::Tensor& rows, const torch::Tensor& rows_seen,
                                                         std::int64_t excluded) {
  std::vector<std::pair<double, std::int64_t>> all;
  const auto width = static_cast<double>(rows.size(1));
  for (std::int64_t t = 0; t < rows.size(0); ++t) {
    if (t == excluded) continue;
    const auto both = (seen * rows_seen[t]).to(torch::kFloat64);
    const double common = both.sum().item<double>();
    if (common == 0) continue;
    const auto difference = query.to(torch::kFloat64) - rows[t].to(torch::kFloat64);
    all.emplace_back((difference.square() * both).sum().item<double>() * width / common, t);
  }
  std::sort(all.begin(), all.end());
  return all;
}

TEST(Neighbours, AreThoseOfBruteForce) {
  for (const bool missing : {false, true}) {
    for (const bool ties : {false, true}) {
      torch::manual_seed(missing ? 5 : 6);
      auto rows = torch::randn({150, 7}), queries = torch::randn({70, 7});
      if (ties) {
        rows = rows.round();
        queries = queries.round();
      }
      rows[3] *= 1e5;  // where float32 has no digits left
      queries[2] = rows[3] + 0.01;
      auto rows_seen = torch::ones_like(rows), queries_seen = torch::ones_like(queries);
      if (missing) {
        rows_seen = (torch::rand({150, 7}) > 0.3).to(torch::kFloat32);
        queries_seen = (torch::rand({70, 7}) > 0.3).to(torch::kFloat32);
        queries_seen[5].zero_();
      }
      rows = rows * rows_seen;
      queries = queries * queries_seen;
      std::vector<std::int64_t> excluded(70, -1);
      excluded[2] = 3;
      excluded[9] = 14;
      const NeighbourIndex index(rows, missing ? rows_seen : torch::Tensor());
      for (const int threads : {1, 2}) {
        at::set_num_threads(threads);
        const auto found = index.search(queries, missing ? queries_seen : torch::Tensor(), 6, excluded);
        for (std::int64_t i = 0; i < 70; ++i) {
          const auto truth =
              brute_force(queries[i], queries_seen[i], rows, rows_seen, excluded[static_cast<std::size_t>(i)]);
          ASSERT_EQ(found.count(i), std::min<std::int64_t>(6, static_cast<std::int64_t>(truth.size())));
          for (std::int64_t n = 0; n < found.count(i); ++n) {
            const auto at = static_cast<std::size_t>(i * 6 + n);
            const auto& [distance, row] = truth[static_cast<std::size_t>(n)];
            EXPECT_NEAR(found.distance[at], distance, 1e-9 * (1 + distance));
            if (!ties) {
              EXPECT_EQ(found.index[at], row) << missing << " query " << i << " neighbour " << n;
            }
          }
        }
      }
      at::set_num_threads(1);
    }
  }
}

TEST(Neighbours, OfFewerRowsThanAskedAreAllOfThem) {
  const auto rows = torch::randn({3, 2});
  const auto found = NeighbourIndex(rows).search(rows, {}, 5, {0, 1, 2});
  EXPECT_EQ(found.count(0), 2);
  EXPECT_EQ(found.index[2], -1);
  EXPECT_TRUE(torch::equal(mean_of_found(found, 5, rows)[0], rows.narrow(0, 1, 2).to(torch::kFloat64).mean(0)));
}

// --- Heads ---

const std::vector<model::Element> kMixed{
    {"a", 0, false}, {"b", 0, false}, {"colour", 4, false}, {"fixed", 0, true}, {"c", 0, false}};
const std::vector<model::Element> kNumbers{{"a", 0, false}, {"b", 0, false}, {"c", 0, false}};

model::Batch mixed_rows(std::int64_t samples, std::uint64_t seed, double missing) {
  torch::manual_seed(seed);
  const auto latent = torch::randn({samples, 2});
  auto values = torch::zeros({samples, 5});
  values.select(1, 0).copy_(latent.select(1, 0) + 0.1 * torch::randn({samples}));
  values.select(1, 1).copy_(latent.select(1, 0) - latent.select(1, 1) + 0.1 * torch::randn({samples}));
  values.select(1, 2).copy_((latent.select(1, 1) > 0).to(torch::kFloat32) + (latent.select(1, 0) > 1));
  values.select(1, 4).copy_(latent.select(1, 1));
  const auto observed = (torch::rand({samples, 5}) >= missing).to(torch::kFloat32);
  return {values * observed, observed};
}

struct Pair {
  config::Variant<model::Family> family{model::families(), "dense"};
  loss::LossOptions options;
  std::unique_ptr<loss::Autoencoder> autoencoder;
  explicit Pair(const std::vector<model::Element>& elements, std::int64_t members = 1) {
    config::read_text(*family.value(), R"({"hidden": [8], "latent": 3, "members": )" + std::to_string(members) + "}",
                      "test", ".");
    options.resolve(elements, false);
    autoencoder = std::make_unique<loss::Autoencoder>(*family, options.terms, elements, true, 4);
  }
};

config::Variant<Head> head_of(const std::string& type, const std::string& settings) {
  config::Variant<Head> head(heads(), type);
  config::read_text(*head.value(), settings, "test", ".");
  return head;
}

struct Case {
  std::string type;
  std::string settings = "{}";
  std::int64_t members = 1;
};
std::ostream& operator<<(std::ostream& out, const Case& c) {
  return out << c.type << " " << c.settings << " of " << c.members;
}

const std::vector<Case> kCases{
    {"loss"},
    {"normalized"},
    {"mahalanobis"},
    {"mahalanobis", R"({"latent": true})"},
    {"masked"},
    {"masked", R"({"judge": "mahalanobis", "groups": 2, "repeats": 3})"},
    {"neighbours", R"({"judge": "loss"})"},
    {"neighbours", R"({"judge": "normalized", "max_rows": 50})"},
    {"neighbours"},
    {"neighbours", R"({"whiten": true})"},
    {"neighbours", R"({"judge": "local", "k": 12})"},
    {"neighbours", R"({"judge": "local", "whiten": true, "k": 12})"},
    {"neighbours", R"({"judge": "local", "whiten": true, "curved": true})"},
    {"prototypes"},
    {"prototypes", R"({"judge": "normalized", "cell": 10, "curved": true})"},
    {"fusion", R"({"members": [{"type": "neighbours", "judge": "normalized"}, {"type": "normalized"}]})"},
    {"fusion", R"({"combine": "log_z", "members": [{"type": "neighbours", "judge": "local"}, {"type": "loss"}]})"},
    {"loss", "{}", 3},
    {"normalized", "{}", 3},
    {"mahalanobis", R"({"latent": true})", 3},
    {"masked", "{}", 3},
    {"neighbours", "{}", 3},
    {"fusion", R"({"members": [{"type": "neighbours"}, {"type": "normalized"}]})", 3},
};

TEST(Heads, AreAllSwept) {
  std::set<std::string> swept, registered;
  for (const auto& c : kCases) swept.insert(c.type);
  for (const auto& entry : heads()) {
    const auto head = entry.make();
    if (head->judges(model::Domain(kMixed))) registered.emplace(entry.name);
    EXPECT_FALSE(entry.help.empty());
  }
  EXPECT_EQ(swept, registered);
}

class EveryHead : public testing::TestWithParam<Case> {
 protected:
  EveryHead() : training_(mixed_rows(120, 1, 0.1)), held_out_(mixed_rows(30, 2, 0.1)) { head_ = fitted(training_); }
  config::Variant<Head> fitted(const model::TableSamples& training) {
    auto head = head_of(GetParam().type, GetParam().settings);
    head->for_samples()->fit({*pair_.autoencoder, training, held_out_, 7, reporter_});
    return head;
  }
  Scored score_of(const model::Batch& batch) const { return score(*pair_.autoencoder, *head_->for_samples(), batch); }

  SilentReporter reporter_;
  Pair pair_{kMixed, GetParam().members};
  model::TableSamples training_, held_out_;
  config::Variant<Head> head_{heads(), "loss"};
};

TEST_P(EveryHead, GivesSharesThatSumExactlyToFiniteScores) {
  const auto batch = mixed_rows(40, 3, 0.2);
  const auto scored = score_of(batch);
  ASSERT_EQ(scored.shares.sizes(), batch.values.sizes());
  ASSERT_EQ(scored.expected.sizes(), batch.values.sizes());
  EXPECT_TRUE(torch::isfinite(scored.expected).all().item<bool>());
  for (std::int64_t i = 0; i < 40; ++i) {
    const double* shares = scored.shares.data_ptr<double>() + 5 * i;
    const double score = scored.scores[static_cast<std::size_t>(i)];
    EXPECT_TRUE(std::isfinite(score));
    EXPECT_GE(score, 0);
    EXPECT_EQ(shares[0] + shares[1] + shares[2] + shares[3] + shares[4], score);
    EXPECT_EQ(shares[4] + shares[3] + shares[2] + shares[1] + shares[0], score);
    for (int j = 0; j < 5; ++j) {
      EXPECT_GE(shares[j], 0);
      if (batch.observed[i][j].item<float>() == 0) {
        EXPECT_EQ(shares[j], 0) << i << " " << j;
      }
    }
    const double level = scored.expected[i][2].item<double>();
    EXPECT_TRUE(level == 0 || level == 1 || level == 2 || level == 3) << level;
  }
}

TEST_P(EveryHead, ScoreDoesNotChangeWhenUnobservedCellsChange) {
  const auto batch = mixed_rows(40, 3, 0.3);
  const auto other = torch::where(batch.observed > 0, batch.values, torch::full_like(batch.values, 3.0));
  EXPECT_EQ(score_of(batch).scores, score_of({other, batch.observed}).scores);
}

TEST_P(EveryHead, ScoreDoesNotDependOnTheOtherRows) {
  const auto batch = mixed_rows(300, 4, 0.1);
  const auto all = score_of(batch);
  for (const std::int64_t i : {0, 17, 228, 235, 236, 239, 240, 255, 256, 299}) {
    const auto alone = score_of({batch.values.narrow(0, i, 1), batch.observed.narrow(0, i, 1)});
    EXPECT_EQ(alone.scores[0], all.scores[static_cast<std::size_t>(i)]) << i;
    EXPECT_TRUE(torch::equal(alone.shares[0], all.shares[i])) << i;
    EXPECT_TRUE(torch::equal(alone.expected[0], all.expected[i])) << i;
  }
}

TEST_P(EveryHead, AnswersTheSameAfterSavingAndRestoring) {
  const auto restored = head_of(GetParam().type, GetParam().settings);
  restored->restore(head_->state(), *pair_.autoencoder);
  const auto batch = mixed_rows(40, 3, 0.2);
  const auto before = score_of(batch);
  const auto after = score(*pair_.autoencoder, *restored->for_samples(), batch);
  EXPECT_EQ(before.scores, after.scores);
  EXPECT_TRUE(torch::equal(before.expected, after.expected));
  const auto again = restored->state();
  ASSERT_EQ(again.size(), head_->state().size());
  for (const auto& [name, array] : head_->state()) EXPECT_EQ(again.at(name).bytes, array.bytes) << name;
}

TEST_P(EveryHead, RefusesDamagedArrays) {
  const auto good = head_->state();
  for (const auto& [name, array] : good) {
    if (name.ends_with("observed")) continue;  // may be missing: all observed
    auto missing = good;
    missing.erase(name);
    EXPECT_THROW(head_of(GetParam().type, GetParam().settings)->restore(missing, *pair_.autoencoder), InputError)
        << name;
  }
  for (const auto& [name, array] : good) {
    auto longer = good;
    longer[name].shape.push_back(1);
    EXPECT_THROW(head_of(GetParam().type, GetParam().settings)->restore(longer, *pair_.autoencoder), InputError)
        << name;
    auto other = good;
    other[name].dtype = array.dtype == data::Dtype::i64 ? data::Dtype::f32 : data::Dtype::i64;
    EXPECT_THROW(head_of(GetParam().type, GetParam().settings)->restore(other, *pair_.autoencoder), InputError) << name;
  }
}

TEST_P(EveryHead, GivesARowWithoutObservedCellsTheScoreZero) {
  const auto scored = score_of({torch::zeros({2, 5}), torch::zeros({2, 5})});
  EXPECT_EQ(scored.scores, (std::vector<double>{0, 0}));
}

TEST_P(EveryHead, WorksFromOneRow) {
  for (const std::int64_t rows : {1, 2, 3}) {
    head_ = fitted(model::TableSamples(mixed_rows(rows, 9, 0)));
    for (const double score : score_of(mixed_rows(20, 3, 0.1)).scores) EXPECT_TRUE(std::isfinite(score));
  }
}

TEST_P(EveryHead, RaisesABoundedAlarmForAConstantColumnThatChanges) {
  auto batch = mixed_rows(1, 3, 0);
  const double before = score_of(batch).scores[0];
  batch.values[0][3] = 5;
  const auto after = score_of(batch);
  EXPECT_GT(after.scores[0], before);
  EXPECT_LT(after.scores[0], 1e6);
}

INSTANTIATE_TEST_SUITE_P(Registry, EveryHead, testing::ValuesIn(kCases));

// --- What single heads promise ---

class NeighboursHead : public testing::Test {
 protected:
  NeighboursHead() : pair_(kNumbers), nothing_(model::Batch{torch::zeros({0, 3}), torch::zeros({0, 3})}) {
    torch::manual_seed(11);
    x_ = torch::randn({60, 3}).mm(torch::tensor({{1.0f, 0.5f, 0.0f}, {0.0f, 1.0f, 0.9f}, {0.0f, 0.0f, 0.3f}}));
    training_ = std::make_unique<model::TableSamples>(model::Batch{x_, torch::ones_like(x_)});
  }
  config::Variant<Head> fitted(const std::string& settings) {
    auto head = head_of("neighbours", settings);
    head->for_samples()->fit({*pair_.autoencoder, *training_, nothing_, 0, reporter_});
    return head;
  }
  torch::Tensor nearest(const torch::Tensor& rows, const torch::Tensor& row, std::int64_t k,
                        std::int64_t without) const {
    auto distance = (rows - row).square().sum(1);
    if (without >= 0) distance[without] = 1e30;
    return rows.index_select(0, std::get<1>(distance.topk(k, 0, false)));
  }
  SilentReporter reporter_;
  Pair pair_;
  model::TableSamples nothing_;
  torch::Tensor x_;
  std::unique_ptr<model::TableSamples> training_;
};

TEST_F(NeighboursHead, LeavesOutTheTrainingRowItself) {
  const auto head = fitted(R"({"judge": "loss", "k": 4})");
  EXPECT_TRUE(head->for_samples()->leaves_out());
  const auto scores = scores_of(*pair_.autoencoder, *head->for_samples(), *training_, true);
  const auto as_new = scores_of(*pair_.autoencoder, *head->for_samples(), *training_);
  const auto x = x_.to(torch::kFloat64);
  for (std::int64_t i = 0; i < 60; ++i) {
    const auto r = x[i] - nearest(x, x[i], 4, i).mean(0);
    EXPECT_NEAR(scores[static_cast<std::size_t>(i)], r.square().mean().item<double>(), 1e-6);
    // As a new row it is its own nearest neighbour.
    const auto with_itself = x[i] - nearest(x, x[i], 4, -1).mean(0);
    EXPECT_NEAR(as_new[static_cast<std::size_t>(i)], with_itself.square().mean().item<double>(), 1e-6);
  }
}

TEST_F(NeighboursHead, NormalizedDividesByTheMeanSquareOfLeaveOneOutResiduals) {
  const auto head = fitted(R"({"judge": "normalized", "k": 4})");
  const auto x = x_.to(torch::kFloat64);
  auto residuals = torch::zeros_like(x);
  for (std::int64_t i = 0; i < 60; ++i) residuals[i] = x[i] - nearest(x, x[i], 4, i).mean(0);
  const auto square = residuals.square().mean(0) + 1e-3;
  const auto row = torch::tensor({{0.5f, -1.0f, 2.0f}});
  const auto r = row[0].to(torch::kFloat64) - nearest(x, row[0].to(torch::kFloat64), 4, -1).mean(0);
  const auto scored = score(*pair_.autoencoder, *head->for_samples(), {row, torch::ones_like(row)});
  EXPECT_TRUE(torch::allclose(scored.shares[0], r.square() / square / 3, 1e-6, 1e-9));
}

// The same score from dense matrices: whitening by the inverse root of the Ledoit-Wolf covariance, the covariance of
// the nearest rows, its inverse and determinant.
TEST_F(NeighboursHead, LocalJudgeIsTheShapeOfTheCloudOfNeighbours) {
  const std::int64_t k = 8;
  const auto head = fitted(R"({"judge": "local", "whiten": true, "k": 8, "whitening_k": 5, "ridge": 3})");
  const auto x = x_.to(torch::kFloat64);
  auto residuals = torch::zeros_like(x);
  for (std::int64_t i = 0; i < 60; ++i) residuals[i] = x[i] - nearest(x, x[i], 5, i).mean(0);
  const auto w = dense(ledoit_wolf(residuals, torch::ones_like(residuals)).power(-0.5));
  const auto y = x.mm(w);
  const auto rows = torch::tensor({{0.5f, -1.0f, 2.0f}, {0.0f, 0.1f, 0.0f}});
  const auto scored = score(*pair_.autoencoder, *head->for_samples(), {rows, torch::ones_like(rows)});
  for (std::int64_t i = 0; i < 2; ++i) {
    const auto row = rows[i].to(torch::kFloat64).unsqueeze(0);
    const auto z = row.mm(w);
    const auto near = nearest(y, z[0], k, -1);
    const auto v = near - near.mean(0);
    const auto c = (v.t().mm(v) + 3 * torch::eye(3, torch::kFloat64)) / (static_cast<double>(k) + 3);
    const auto r = z - near.mean(0);
    const double q = r.mm(c.inverse()).mm(r.t()).item<double>() * std::cbrt(torch::det(c).item<double>());
    EXPECT_NEAR(scored.scores[static_cast<std::size_t>(i)], q / 3, 1e-5 * q);
    const auto p = w.mm(c.inverse()).mm(w);
    const auto e = row - near.mm(w.inverse()).mean(0);
    const auto gain = e.mm(p).square()[0] / p.diagonal();
    EXPECT_TRUE(torch::allclose(scored.shares[i], gain / gain.sum() * q / 3, 1e-4, 1e-7));
    // The expected cells: the conditional mean of each given the others.
    const auto expected = row[0] - e.mm(p)[0] / p.diagonal();
    EXPECT_TRUE(torch::allclose(scored.expected[i], expected, 1e-4, 1e-5));
  }
}

// A table whose rows come several times over, with the scores of leaving out all copies of a row at once: those of
// heads fitted without them.
class RepeatedRows : public testing::TestWithParam<std::pair<std::string, std::string>> {
 protected:
  static constexpr std::int64_t kRows = 40, kTimes = 3;
  RepeatedRows() : pair_(kNumbers), nothing_(model::Batch{torch::zeros({0, 3}), torch::zeros({0, 3})}) {
    torch::manual_seed(12);
    distinct_ =
        torch::randn({kRows, 3}).mm(torch::tensor({{1.0f, 0.5f, 0.0f}, {0.0f, 1.0f, 0.9f}, {0.0f, 0.0f, 0.3f}}));
  }
  model::TableSamples table(const torch::Tensor& rows) const {
    return model::TableSamples(model::Batch{rows, torch::ones_like(rows)});
  }
  SilentReporter reporter_;
  Pair pair_;
  model::TableSamples nothing_;
  torch::Tensor distinct_;
};

TEST_P(RepeatedRows, AreLeftOutTogetherAndCountOnce) {
  const auto& [type, settings] = GetParam();
  const auto training = table(distinct_.repeat({kTimes, 1}));
  const auto head = head_of(type, settings);
  const auto honest = head->calibrate(FitContext{*pair_.autoencoder, training, nothing_, 0, reporter_});
  ASSERT_EQ(std::ssize(honest), kRows);
  for (std::int64_t row = 0; row < kRows; row += 7) {
    auto others = torch::cat({distinct_.narrow(0, 0, row), distinct_.narrow(0, row + 1, kRows - row - 1)});
    const auto without = head_of(type, settings);
    const auto rest = table(others.repeat({kTimes, 1}));
    without->for_samples()->fit({*pair_.autoencoder, rest, nothing_, 0, reporter_});
    const auto one = distinct_.narrow(0, row, 1);
    const double expected = score(*pair_.autoencoder, *without->for_samples(), {one, torch::ones_like(one)}).scores[0];
    // Rows that had this one for a neighbour keep their residuals, which judge it; of a row at the edge that is a
    // fifth. With a copy left in, the score would be nearly 0.
    EXPECT_NEAR(honest[static_cast<std::size_t>(row)], expected, 0.25 * expected) << row;
  }
}

INSTANTIATE_TEST_SUITE_P(Heads, RepeatedRows,
                         testing::Values(std::pair("neighbours", R"({"judge": "loss", "k": 4})"),
                                         std::pair("neighbours", R"({"judge": "normalized", "k": 4})"),
                                         std::pair("neighbours", R"({"judge": "mahalanobis", "k": 4})"),
                                         std::pair("neighbours", R"({"judge": "local", "whiten": true, "k": 8})")));

TEST_F(NeighboursHead, CalibratesOnOneOfIdenticalHeldOutRows) {
  const auto held_out = torch::tensor({{0.5f, -1.0f, 2.0f}, {0.1f, 0.0f, 0.0f}, {0.5f, -1.0f, 2.0f}});
  const model::TableSamples rows(model::Batch{held_out, torch::ones_like(held_out)});
  const auto head = head_of("loss", "{}");
  const auto scores = head->calibrate(FitContext{*pair_.autoencoder, *training_, rows, 0, reporter_});
  EXPECT_EQ(scores.size(), 2u);
}

TEST(Prototypes, PutIdenticalRowsIntoOneFold) {
  const Pair pair(kNumbers);
  torch::manual_seed(13);
  SilentReporter reporter;
  const model::TableSamples nothing(model::Batch{torch::zeros({0, 3}), torch::zeros({0, 3})});
  const auto distinct = torch::randn({200, 3});
  const auto calibrated = [&](const torch::Tensor& rows) {
    const model::TableSamples training(model::Batch{rows, torch::ones_like(rows)});
    auto scores = head_of("prototypes", R"({"cell": 10})")
                      ->calibrate(FitContext{*pair.autoencoder, training, nothing, 0, reporter});
    EXPECT_EQ(scores.size(), 200u);
    std::nth_element(scores.begin(), scores.begin() + 100, scores.end());
    return scores[100];
  };
  // A row whose copy was learned from would lie in the middle of its cell.
  EXPECT_GT(calibrated(distinct.repeat({2, 1})), 0.8 * calibrated(distinct));
}

TEST(Prototypes, CalibrateWithHeldOutRowsAloneWhereAllTrainingRowsAreIdentical) {
  const Pair pair(kNumbers);
  const auto held_out = torch::tensor({{0.5f, -1.0f, 2.0f}, {0.1f, 0.0f, 0.0f}});
  const model::TableSamples rows(model::Batch{held_out, torch::ones_like(held_out)});
  for (const std::int64_t count : {1, 40}) {
    test::RecordingReporter reporter;
    const auto same = torch::full({count, 3}, 0.25f);
    const model::TableSamples training(model::Batch{same, torch::ones_like(same)});
    const auto head = head_of("prototypes", "{}");
    const auto scores = head->calibrate(FitContext{*pair.autoencoder, training, rows, 0, reporter});
    EXPECT_EQ(scores, scores_of(*pair.autoencoder, *head->for_samples(), rows)) << count;
    ASSERT_EQ(reporter.warnings.size(), 1u);
    EXPECT_EQ(reporter.warnings[0].find("all training rows are identical"), 0u) << reporter.warnings[0];
  }
}

TEST_F(NeighboursHead, KeepsNoMoreRowsThanAsked) {
  const auto head = fitted(R"({"max_rows": 20})");
  EXPECT_EQ(head->state().at("rows").shape, (std::vector<std::int64_t>{20, 3}));
  const auto again = fitted(R"({"max_rows": 20})");
  EXPECT_EQ(head->state().at("rows").bytes, again->state().at("rows").bytes);
}

TEST_F(NeighboursHead, FusionByRatioIsTheMeanOfScoresOverTheirMedians) {
  auto fusion = head_of("fusion", R"({"members": [{"type": "neighbours", "judge": "loss"},
                                                  {"type": "neighbours", "judge": "normalized", "k": 3}]})");
  const FitContext context{*pair_.autoencoder, *training_, nothing_, 0, reporter_};
  fusion->for_samples()->fit(context);
  const auto row = torch::tensor({{0.5f, -1.0f, 2.0f}});
  const model::Batch batch{row, torch::ones_like(row)};
  double expected = 0;
  for (const auto* settings : {R"({"judge": "loss"})", R"({"judge": "normalized", "k": 3})"}) {
    const auto member = fitted(settings);
    auto honest = honest_scores(context, *member->for_samples());
    ASSERT_EQ(honest.size(), 60u);
    std::sort(honest.begin(), honest.end());
    expected +=
        score(*pair_.autoencoder, *member->for_samples(), batch).scores[0] / ((honest[29] + honest[30]) / 2) / 2;
  }
  EXPECT_NEAR(score(*pair_.autoencoder, *fusion->for_samples(), batch).scores[0], expected, 1e-9 * expected);
}

TEST(Fusion, NeedsMembersAndHoldsNoFusion) {
  EXPECT_THROW(head_of("fusion", "{}"), UsageError);
  EXPECT_THROW(head_of("fusion", R"({"members": [{"type": "fusion"}]})"), UsageError);
}

TEST(Masked, ReconstructsEachCellFromTheOthers) {
  // A cell that is hidden whenever it is judged cannot influence its own expected value.
  const Pair pair(kNumbers);
  torch::manual_seed(3);
  const auto x = torch::randn({50, 3});
  const model::TableSamples training(model::Batch{x, torch::ones_like(x)});
  const model::TableSamples nothing(model::Batch{torch::zeros({0, 3}), torch::zeros({0, 3})});
  SilentReporter reporter;
  const auto head = head_of("masked", R"({"groups": 3, "repeats": 2})");
  head->for_samples()->fit({*pair.autoencoder, training, nothing, 1, reporter});
  auto row = torch::tensor({{0.5f, -1.0f, 2.0f}});
  const auto before = score(*pair.autoencoder, *head->for_samples(), {row, torch::ones_like(row)}).expected.clone();
  auto changed = row.clone();
  changed[0][1] = 4;
  const auto after = score(*pair.autoencoder, *head->for_samples(), {changed, torch::ones_like(row)}).expected;
  EXPECT_EQ(before[0][1].item<double>(), after[0][1].item<double>());
  EXPECT_NE(before[0][0].item<double>(), after[0][0].item<double>());
}

}  // namespace
}  // namespace ae::score::score_test
