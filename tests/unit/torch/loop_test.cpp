#include <gtest/gtest.h>
#include <sys/wait.h>
#include <torch/types.h>
#include <unistd.h>

#include <cmath>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <functional>

#include "base/error.hpp"
#include "base/files.hpp"
#include "base/signals.hpp"
#include "support/errors.hpp"
#include "support/temporary_folder.hpp"
#include "train/loop.hpp"

namespace ae::train::loop_test {
namespace {

// Learns the mean of its samples by gradient descent on (w - x)^2: every step has a closed form.
class MeanObjective final : public Objective {
 public:
  explicit MeanObjective(std::int64_t samples) : samples_(samples) {}
  std::vector<std::string> part_names() const override { return {"error"}; }
  std::int64_t training_samples() const override { return samples_; }
  std::int64_t smallest_batch() const override { return smallest; }
  std::vector<double> step(const std::vector<std::int64_t>& samples, const StepContext& context) override {
    ++steps;
    batches.push_back(samples);
    keys.push_back(context.key);
    if (steps == fail_at_step) return {std::nan(""), 0};
    double gradient = 0, loss = 0;
    const double w = weight_.item<double>();
    for (const auto i : samples) {
      loss += (w - static_cast<double>(i)) * (w - static_cast<double>(i));
      gradient += 2 * (w - static_cast<double>(i));
    }
    const auto count = static_cast<double>(samples.size());
    weight_.fill_(w - context.learning_rate * gradient / count);
    if (steps == raise_at_step) std::raise(SIGTERM);
    return {loss / count, loss / count};
  }
  bool has_validation() const override { return !held_out.empty(); }
  std::vector<double> validate() override {
    if (static_cast<std::int64_t>(validations) == raise_at_validation) std::raise(SIGTERM);
    throw_if_stopped("validation");
    const double loss = held_out[std::min(validations++, held_out.size() - 1)];
    return {loss, loss};
  }
  model::NamedTensors weights() const override { return {{"w", weight_}}; }
  void save_state(recipe::Arrays&) const override {}
  void restore_state(const recipe::Arrays&) override {}

  std::vector<double> held_out;
  std::size_t validations = 0;
  std::int64_t smallest = 1;
  std::int64_t steps = 0;
  std::int64_t fail_at_step = -1;
  std::int64_t raise_at_step = -1;
  std::int64_t raise_at_validation = -1;
  std::vector<std::vector<std::int64_t>> batches;
  std::vector<std::uint64_t> keys;

 private:
  std::int64_t samples_;
  torch::Tensor weight_ = torch::zeros({1}, torch::kFloat64);
};

class LoopTest : public testing::Test {
 protected:
  void SetUp() override {
    options_.epochs = 6;
    options_.batch_size = 4;
    options_.learning_rate = 0.1;
    options_.checkpoint.seconds = 1e9;
    options_.early_stopping.patience = 0;
  }
  std::string state() const { return (folder_ / "state.safetensors").string(); }
  Loop loop(Objective& objective, const std::string& fingerprint = "same") {
    return Loop(objective, options_,
                {state(), fingerprint, [this](const std::vector<EpochRecord>& history) { recorded_ = history.size(); },
                 [this](const recipe::Arrays& best, const std::vector<EpochRecord>& history, bool finished) {
                   if (making_) making_(finished);
                   published_ = recipe::to_tensor(best.at("w")).item<double>();
                   published_epochs_ = history.size();
                   ++publications_;
                 }},
                reporter_);
  }
  const test::TemporaryFolder temporary_;
  const std::filesystem::path& folder_ = temporary_.path();
  recipe::TrainingOptions options_;
  SilentReporter reporter_;
  double published_ = std::nan("");
  std::size_t published_epochs_ = 0;
  int publications_ = 0;
  std::size_t recorded_ = 0;
  std::function<void(bool finished)> making_;  // of a model
};

TEST_F(LoopTest, VisitsEverySampleOnceAnEpochInAnotherOrder) {
  MeanObjective objective(10);
  loop(objective).run();
  ASSERT_EQ(objective.batches.size(), 6u * 3u);
  std::vector<std::vector<std::int64_t>> epochs(6);
  for (std::size_t b = 0; b < objective.batches.size(); ++b) {
    epochs[b / 3].insert(epochs[b / 3].end(), objective.batches[b].begin(), objective.batches[b].end());
  }
  EXPECT_NE(epochs[0], epochs[1]);
  for (auto& epoch : epochs) {
    std::sort(epoch.begin(), epoch.end());
    for (std::int64_t i = 0; i < 10; ++i) EXPECT_EQ(epoch[static_cast<std::size_t>(i)], i);
  }
}

TEST_F(LoopTest, JoinsALastBatchThatIsTooSmall) {
  MeanObjective objective(9);
  objective.smallest = 2;
  loop(objective).run();
  EXPECT_EQ(objective.batches.size(), 6u * 2u);
  EXPECT_EQ(objective.batches[1].size(), 5u);
}

TEST_F(LoopTest, ContinuesToTheSameWeightsFromEveryStep) {
  MeanObjective whole(10);
  loop(whole).run();
  const double expected = published_;
  options_.checkpoint.seconds = 0;  // a state after every step
  for (std::int64_t stop = 1; stop < 18; ++stop) {
    MeanObjective first(10);
    first.fail_at_step = stop + 1;  // the process ends here; the state of step `stop` stays
    EXPECT_THROW(loop(first).run(), RunError);
    MeanObjective second(10);
    auto rest = loop(second);
    rest.resume();
    rest.run();
    EXPECT_EQ(published_, expected) << "stopped after step " << stop;
    EXPECT_EQ(second.steps, 18 - stop);
    ASSERT_EQ(rest.history().size(), 6u);
    std::vector<std::uint64_t> keys(whole.keys.begin() + stop, whole.keys.end());
    EXPECT_EQ(second.keys, keys);
  }
}

TEST_F(LoopTest, KeepsTheWeightsOfTheBestHeldOutEpochAndStopsWhenItsPatienceIsOver) {
  MeanObjective objective(10);
  objective.held_out = {5, 3, 4, 4, 4, 4};
  options_.early_stopping.patience = 2;
  auto training = loop(objective);
  training.run();
  EXPECT_EQ(training.history().size(), 4u);
  EXPECT_EQ(best_epoch(training.history()), 1);
  MeanObjective twin(10);
  options_.epochs = 2;
  loop(twin).run();  // no held-out rows: the last weights, here those of the second epoch
  const double second_epoch = published_;
  options_.epochs = 6;
  objective = MeanObjective(10);
  objective.held_out = {5, 3, 4, 4, 4, 4};
  loop(objective).run();
  EXPECT_EQ(published_, second_epoch);
}

TEST_F(LoopTest, ADivergenceNamesTheEpochAndKeepsTheLastGoodModel) {
  MeanObjective objective(10);
  objective.fail_at_step = 8;  // third epoch
  const std::string error = test::error_of<RunError>([&] { loop(objective).run(); });
  EXPECT_NE(error.find("in epoch 3"), std::string::npos) << error;
  EXPECT_NE(error.find("weights of epoch 2"), std::string::npos) << error;
  EXPECT_EQ(published_epochs_, 2u);
}

TEST_F(LoopTest, RefusesAStateOfAnotherRunAndDamagedOnes) {
  options_.checkpoint.seconds = 0;
  MeanObjective objective(10);
  objective.fail_at_step = 5;
  EXPECT_THROW(loop(objective).run(), RunError);
  EXPECT_THROW(loop(objective, "other").resume(), UsageError);
  const std::string bytes = read_file(state(), FileKind::data);
  for (std::size_t length = 0; length < bytes.size(); length += 37) {
    std::ofstream(state(), std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(length));
    EXPECT_THROW(loop(objective).resume(), Error) << length;
  }
}

TEST_F(LoopTest, MakesModelsOnTheWayOfWhatIsNew) {
  options_.checkpoint.seconds = 0;  // a state after every step
  MeanObjective objective(10);      // of three steps an epoch
  loop(objective).run();
  EXPECT_EQ(publications_, 6);  // after epochs 1 to 5, and the last one
}

TEST_F(LoopTest, GivesUpModelsOnTheWayThatTakeTooLong) {
  options_.checkpoint.seconds = 0;
  int begun = 0;
  making_ = [&](bool finished) {
    ++begun;
    // What a costly score head does, all the time there is.
    while (!finished) throw_if_stopped("fitting");
  };
  MeanObjective objective(10);
  loop(objective).run();
  EXPECT_EQ(publications_, 1);
  EXPECT_EQ(begun, 2);  // one second was spent, and the next model is expected to take longer than what is left
  EXPECT_EQ(published_epochs_, 6u);
  EXPECT_EQ(recorded_, 6u);
}

// A stop signal stays for the rest of the process.
int interrupted_in_a_child(const std::function<void()>& work, const std::string& expected) {
  const pid_t child = ::fork();
  if (child == 0) {
    install_stop_signals();
    try {
      work();
    } catch (const Interrupted& interrupted) {
      const bool told = std::string(interrupted.what()).find(expected) != std::string::npos;
      ::_exit(told ? interrupted.signal : 100);
    } catch (...) {
    }
    ::_exit(101);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST_F(LoopTest, ASignalWhileTheModelIsMadeKeepsWhatWasLearned) {
  MeanObjective whole(10);
  loop(whole).run();
  const double expected = published_;
  making_ = [](bool) {
    std::raise(SIGTERM);
    throw_if_stopped("fitting");
  };
  MeanObjective first(10);
  EXPECT_EQ(interrupted_in_a_child([&] { loop(first).run(); }, "after the last epoch"), SIGTERM);
  making_ = {};
  published_ = 0;
  MeanObjective second(10);
  auto rest = loop(second);
  rest.resume();
  rest.run();
  EXPECT_EQ(second.steps, 0);
  EXPECT_EQ(published_, expected);
}

TEST_F(LoopTest, ASignalDuringValidationContinuesToTheSameWeights) {
  MeanObjective whole(10);
  whole.held_out = {5, 3, 4, 2, 1, 1};
  auto uninterrupted = loop(whole);
  uninterrupted.run();
  const double expected = published_;
  MeanObjective first(10);
  first.held_out = whole.held_out;
  first.raise_at_validation = 2;
  EXPECT_EQ(interrupted_in_a_child([&] { loop(first).run(); }, "in epoch 3"), SIGTERM);
  MeanObjective second(10);
  second.held_out = {4, 2, 1, 1};
  auto rest = loop(second);
  rest.resume();
  EXPECT_EQ(rest.history().size(), 2u);
  rest.run();
  EXPECT_EQ(second.steps, 9);
  EXPECT_EQ(rest.history().size(), 6u);
  EXPECT_EQ(rest.history()[2].training, uninterrupted.history()[2].training);
  EXPECT_EQ(published_, expected);
}

TEST_F(LoopTest, MetricsHoldOneLineAnEpoch) {
  std::vector<EpochRecord> history{{0.1, 1.5, {3.0, 3.0}, {4.0, 4.0}}, {0.05, 3.0, {2.0, 2.0}, {2.5, 2.5}}};
  EXPECT_EQ(metrics_csv({"mse"}, history),
            "epoch,train_loss,validation_loss,seconds,learning_rate,train_mse,validation_mse\n"
            "1,3,4,1.5,0.1,3,4\n"
            "2,2,2.5,3,0.05,2,2.5\n");
}

}  // namespace
}  // namespace ae::train::loop_test
