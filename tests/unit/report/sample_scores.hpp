// Scores with labels as real runs make them, for the tests of pictures and pages.
#pragma once

#include <cmath>
#include <numbers>
#include <string>
#include <vector>

#include "base/random.hpp"
#include "base/reporter.hpp"
#include "evaluate/summary.hpp"

namespace ae::report {

struct ScoreSample {
  std::string name;
  std::vector<double> anomalies;
  std::vector<double> normals;
};

inline double gaussian(Random& random) {
  const double radius = std::sqrt(-2 * std::log(1 - random.uniform()));
  return radius * std::cos(2 * std::numbers::pi * random.uniform());
}

// Reconstruction errors of a good model: well separated, with the anomalies' heavy right tail.
inline ScoreSample separated_sample(int anomalies, int normals) {
  ScoreSample sample{"wdbc-scores.csv", {}, {}};
  Random random(stream_key(7, "separated"));
  for (int i = 0; i < normals; ++i) sample.normals.push_back(std::exp(-3.0 + 0.45 * gaussian(random)));
  for (int i = 0; i < anomalies; ++i) {
    sample.anomalies.push_back(std::exp(-1.1 + 0.75 * gaussian(random) + (random.uniform() < 0.12 ? 2.2 : 0)));
  }
  return sample;
}

// Two normal distributions `shift` apart: AUROC = Phi(shift / sqrt 2). A third of the scores is rounded, so that ties
// occur.
inline ScoreSample hard_sample(int anomalies, int normals, double shift) {
  ScoreSample sample{"hard-scores.csv", {}, {}};
  Random random(stream_key(11, "hard", static_cast<std::uint64_t>(shift * 1000)));
  const auto draw = [&](double mean) {
    const double value = 5 + mean + gaussian(random);
    return random.uniform() < 1.0 / 3 ? std::round(value * 20) / 20 : value;
  };
  for (int i = 0; i < anomalies; ++i) sample.anomalies.push_back(draw(shift));
  for (int i = 0; i < normals; ++i) sample.normals.push_back(draw(0));
  return sample;
}

inline ScoreSample tiny_sample() { return {"five.csv", {0.9, 0.35}, {0.1, 0.4, 0.2}}; }

inline ScoreSample negative_sample() {
  ScoreSample sample = hard_sample(80, 240, 1.8);
  sample.name = "log-likelihood.csv";
  for (auto* scores : {&sample.anomalies, &sample.normals}) {
    for (double& score : *scores) score = 1000 * (score - 9);
  }
  return sample;
}

// Everything that ends a string, a comment, an element or a line somewhere.
inline std::string hostile_name() {
  return "</script><script>alert(1)</script><!-- <img src=x onerror=alert(2)> \"'&amp;\xE2\x80\xA8\xE2\x80\xA9"
         "\xE2\x80\xAE{{data}}]]>\x01\x7F\xFF\xC0\xAF.csv";
}

inline evaluate::Evaluation evaluated(const ScoreSample& sample) {
  SilentReporter silence;
  const evaluate::LabeledScores scores(sample.anomalies, sample.normals);
  evaluate::EvaluationOptions options;
  options.bootstrap.resamples = 200;
  options.bootstrap.work_limit = 20'000'000;
  evaluate::Evaluation e = evaluate::evaluate(scores, options, sample.name, silence);
  e.name = sample.name;
  e.sha256 = std::string(64, 'a');
  return e;
}

inline evaluate::Assessment compared(const ScoreSample& first, const ScoreSample& second) {
  evaluate::Assessment assessment{{evaluated(first), evaluated(second)}, {}};
  assessment.evaluations[1].name = "second-" + second.name;
  assessment.tests =
      evaluate::compare_auroc({first.anomalies, second.anomalies}, {first.normals, second.normals}, 0.95);
  return assessment;
}

// So many scores of the same rows, each by another model.
inline evaluate::Assessment several(std::size_t count) {
  evaluate::Assessment assessment;
  std::vector<std::vector<double>> anomalies, normals;
  for (std::size_t i = 0; i < count; ++i) {
    const auto sample = hard_sample(300, 700, 0.4 + 0.25 * static_cast<double>(i));
    assessment.evaluations.push_back(evaluated(sample));
    assessment.evaluations.back().name = "runs/model-" + std::to_string(i + 1) + "/scores.csv";
    assessment.evaluations.back().model = "0123abc" + std::string(1, static_cast<char>('0' + i % 10));
    anomalies.push_back(sample.anomalies);
    normals.push_back(sample.normals);
  }
  assessment.tests = evaluate::compare_auroc(anomalies, normals, 0.95);
  return assessment;
}

}  // namespace ae::report
