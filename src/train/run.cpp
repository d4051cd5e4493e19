#include "train/run.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <torch/version.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "base/counted.hpp"
#include "base/error.hpp"
#include "base/files.hpp"
#include "base/text.hpp"
#include "base/utc.hpp"
#include "base/version.hpp"
#include "config/document.hpp"
#include "evaluate/model_file.hpp"
#include "model/threads.hpp"
#include "report/training.hpp"
#include "train/first_weights.hpp"
#include "train/loop.hpp"
#include "train/trainee.hpp"

namespace ae::train {
namespace {

using Json = nlohmann::ordered_json;
namespace fs = std::filesystem;

// The folder of one run; once open, it exists and is locked while we write to it.
class RunFolder {
 public:
  explicit RunFolder(const fs::path& path) : path_(path) {}
  ~RunFolder() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  RunFolder(const RunFolder&) = delete;
  RunFolder& operator=(const RunFolder&) = delete;

  void open() {
    std::error_code error;
    fs::create_directories(path_, error);
    if (error) throw RunError(path_.string() + ": cannot create the folder: " + error.message());
    descriptor_ = ::open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor_ < 0) throw RunError(path_.string() + ": cannot open the folder: " + std::strerror(errno));
    if (::flock(descriptor_, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
      throw UsageError(path_.string() +
                       ": another ae-train is writing to this folder; wait for it or choose another --out");
    }
  }

  fs::path model() const { return path_ / "model.safetensors"; }
  fs::path state() const { return path_ / "state.safetensors"; }
  fs::path last_state() const { return path_ / "last.safetensors"; }  // of a complete run
  fs::path metrics() const { return path_ / "metrics.csv"; }
  fs::path picture() const { return path_ / "training.svg"; }
  fs::path config() const { return path_ / "config.json"; }
  fs::path distrusted() const { return path_ / "distrusted.idx"; }
  fs::path classifier() const { return evaluate::classifier_beside(model()); }
  fs::path manifest() const { return path_ / "run.json"; }
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
  int descriptor_ = -1;
};

// Refuses to touch what an earlier run left, unless asked to.
void check_folder(const RunOptions& options) {
  if (options.resume || options.force) return;
  if (fs::exists(options.folder / "state.safetensors")) {
    throw UsageError(options.folder.string() +
                     ": holds an interrupted run; continue it with --resume or start over with --force");
  }
  const auto model = options.folder / "model.safetensors";
  if (fs::exists(model)) {
    throw UsageError(model.string() + ": exists; use --force to replace it or choose another --out");
  }
}

// What to do in a folder that may hold an earlier sitting of this run. The manifest is written last, so a model without
// one (and without a state) belongs to a run that was killed while finishing: it starts again.
enum class Start { fresh, resume, nothing_to_do };

bool is_complete(const RunFolder& folder, const std::string& fingerprint) {
  const auto json = Json::parse(read_file(folder.manifest(), FileKind::data), nullptr, false);
  return json.is_object() && json.contains("fingerprint") && json["fingerprint"] == fingerprint;
}

report::TrainingCurve curve_of(const std::vector<EpochRecord>& history) {
  report::TrainingCurve curve;
  for (const EpochRecord& record : history) {
    curve.training.push_back(record.training.front());
    if (!record.validation.empty()) curve.held_out.push_back(record.validation.front());
  }
  curve.best_epoch = best_epoch(history) + 1;
  return curve;
}

// One row number a line.
std::string index_text(const std::vector<std::int64_t>& samples, const std::vector<std::int64_t>& row_numbers) {
  std::string text;
  for (const auto sample : samples) text += std::to_string(row_numbers[static_cast<std::size_t>(sample)]) + "\n";
  return text;
}

std::string training_summary(const std::vector<EpochRecord>& history, const recipe::Dataset& data) {
  const auto best = best_epoch(history);
  Json summary{{"epochs", history.size()},
               {"best_epoch", best + 1},
               {"training_rows", data.training->size()},
               {"held_out_rows", data.held_out->size()}};
  if (best >= 0) {
    const EpochRecord& record = history[static_cast<std::size_t>(best)];
    summary["training_loss"] = record.training.front();
    if (!record.validation.empty()) summary["validation_loss"] = record.validation.front();
  }
  return summary.dump();
}

// One run, from the first look at the data to the last file.
class Run {
 public:
  Run(recipe::Config& config, const RunOptions& options, Reporter& reporter)
      : config_(config),
        options_(options),
        reporter_(options.world.leader() ? reporter : silent_),
        group_(Group::join(options.world, std::chrono::ceil<std::chrono::milliseconds>(
                                              std::chrono::duration<double>(options.peer_timeout)))),
        folder_(options.folder) {}

  void run() {
    load();
    const auto trainee = config_.objective->build(config_, data_, *group_);
    const Work work = trainee->work();
    threads_ = model::use_threads(options_.threads, work.operations, work.pool, options_.world.local_size);
    identify();
    if (start_ == Start::nothing_to_do) {
      return reporter_.info(folder_.model().string() + ": training is already complete");
    }
    train(*trainee);
    group_->together([&] {
      if (group_->leader()) finish(*trainee);
    });
  }

 private:
  void load() {
    group_->together([&] {
      if (group_->leader()) check_folder(options_);
    });
    group_->together([&] {
      const int threads = options_.threads > 0 ? options_.threads : model::available_threads(options_.world.local_size);
      const data::HoldOut hold_out{config_.training.validation_fraction,
                                   static_cast<std::uint64_t>(config_.training.seed)};
      data_ = config_.objective->needs_classes() ? config_.data->load_classes(reporter_, hold_out, threads)
                                                 : config_.data->load(reporter_, hold_out, threads);
    });
  }

  // Names the run by its config and data, and decides with what is in the folder how it starts.
  void identify() {
    for_the_folder_ = config::to_json(config_, config::Paths::resolved);
    config_.data->data()
        .cache = {};  // where the data wait is no part of the model; a resumed run may have them elsewhere
    // Neither threads nor processes are part of it: a run may continue on another machine, or on several.
    resolved_ = config::to_json(config_, config::Paths::as_written);
    if (!options_.from.empty()) first_ = FirstWeights::open(options_.from);
    fingerprint_ = fingerprint_with(config_.training.epochs);
    std::string common = fingerprint_;
    group_->broadcast(common, 0);
    group_->together([&] {
      if (common != fingerprint_) throw UsageError("the config or the data are not the same as those of rank 0");
      if (!group_->leader()) return;
      folder_.open();
      start_ = decide();
    });
    std::string decision(1, static_cast<char>(start_));
    group_->broadcast(decision, 0);
    start_ = static_cast<Start>(decision.front());
  }

  // Of this run, were it to have so many epochs.
  std::string fingerprint_with(std::int64_t epochs) {
    const std::int64_t asked = std::exchange(config_.training.epochs, epochs);
    const std::string resolved = config::to_json(config_, config::Paths::as_written);
    config_.training.epochs = asked;
    std::string files;
    for (const auto& term : config_.loss.terms)
      if (const auto file = term->file(); !file.empty()) files += sha256_of_file(file);
    if (const auto file = config_.objective->file(); !file.empty()) files += sha256_of_file(file);
    return sha256_of(resolved + data_.data_sha256 + (first_ ? first_->sha256() : "") + files);
  }
  std::string fingerprint_of_plan(const data::Safetensors& state) {
    return fingerprint_with(Loop::planned_epochs(state, config_.training.epochs));
  }

  // Also reads the state to go on from. That of a complete run serves when it is this one but for the epochs.
  Start decide() {
    if (!options_.resume) return Start::fresh;
    if (fs::exists(folder_.state())) {
      earlier_ = data::read_safetensors(folder_.state());
      return Start::resume;
    }
    if (!fs::exists(folder_.model()) || !fs::exists(folder_.manifest())) return Start::fresh;
    if (is_complete(folder_, fingerprint_)) return Start::nothing_to_do;
    if (fs::exists(folder_.last_state())) {
      earlier_ = data::read_safetensors(folder_.last_state());
      const auto found = earlier_->metadata.find("fingerprint");
      if (found != earlier_->metadata.end() && found->second == fingerprint_of_plan(*earlier_)) return Start::resume;
    }
    throw UsageError(folder_.path().string() +
                     ": holds the finished model of another config or other data; use --force to replace it");
  }

  void train(Trainee& trainee) {
    Objective* objective = trainee.begin();
    if (first_ && objective == nullptr) {
      throw UsageError("--from: this config trains no network, so there are no weights to begin with; leave it out");
    }
    const auto parts = objective != nullptr ? objective->part_names() : std::vector<std::string>();
    const auto record = [&](const std::vector<EpochRecord>& history) {
      write_file(folder_.metrics(), metrics_csv(parts, history));
      if (const std::string picture = report::training_svg(curve_of(history)); !picture.empty()) {
        write_file(folder_.picture(), picture);
      }
    };
    const auto publish = [&](const recipe::Arrays& best, const std::vector<EpochRecord>& history, bool finished) {
      trainee.publish(best, {folder_.model(), training_summary(history, data_), finished,
                             finished ? reporter_ : static_cast<Reporter&>(silent_)});
      if (counts_distrusted()) {
        write_file(folder_.distrusted(), index_text(trainee.distrusted(), data_.training_numbers));
      }
    };
    std::optional<Loop> loop;
    if (objective != nullptr) {
      loop.emplace(*objective, config_.training, Loop::Outlets{folder_.state().string(), fingerprint_, record, publish},
                   reporter_, *group_);
    }
    group_->together([&] {
      if (group_->leader()) prepare_folder(loop ? &*loop : nullptr, objective);
    });
    reporter_.info(data_.summary + ", " + number_text(static_cast<double>(trainee.parameter_count())) + " weights" +
                   (group_->size() > 1
                        ? ", " + std::to_string(group_->size()) + " processes over " + std::string(group_->medium())
                        : ""));
    if (loop) {
      loop->run();
      history_ = loop->history();
    } else {
      group_->together([&] {
        if (!group_->leader()) return;
        publish({}, {}, true);
        record({});
      });
    }
  }

  void prepare_folder(Loop* loop, const Objective* objective) {
    if (start_ == Start::resume && loop != nullptr) {
      loop->resume(*earlier_, fingerprint_of_plan(*earlier_));
      tell_continued(*loop, Loop::planned_epochs(*earlier_, config_.training.epochs));
      earlier_.reset();
    } else {
      if (first_) {
        first_->give_to(objective->model_weights(), *data_.kind);
        reporter_.info("beginning with the weights of " + first_->name());
      }
      for (const auto& path : {folder_.manifest(), folder_.state(), folder_.model(), folder_.last_state(),
                               folder_.picture(), folder_.classifier()}) {
        fs::remove(path);
      }
    }
    write_file(folder_.config(), for_the_folder_);
  }

  void tell_continued(const Loop& loop, std::int64_t planned) const {
    const std::int64_t now = config_.training.epochs;
    const std::string told = "continuing after epoch " + std::to_string(loop.history().size());
    if (planned == now) return reporter_.info(told);
    const std::string plans = " of " + std::to_string(planned) + " with " + std::to_string(now) + " to train now: ";
    const auto other = loop.first_other_rate();
    reporter_.info(told + plans +
                   (!other ? "the model will be the same, to the byte, as that of a run of " + std::to_string(now)
                           : "not the model of a run of " + std::to_string(now) +
                                 ", since /training/schedule depends on the number of epochs: in epoch " +
                                 std::to_string(*other + 1) + " the learning rate was another one"));
  }

  // Writes what says that the run is complete, and tells how it ended.
  void finish(const Trainee& trainee) {
    Json manifest{
        {"program", "ae-train"},
        {"arguments", options_.arguments},
        {"fingerprint", fingerprint_},
        {"config_sha256", sha256_of(resolved_)},
        {"data_sha256", data_.data_sha256},
        {"model_sha256", sha256_of_file(folder_.model())},
        {"seed", config_.training.seed},
        {"threads", threads_},
        {"processes", group_->size()},
        {"versions", {{"aetools", version()}, {"git", git_hash()}, {"libtorch", TORCH_VERSION}}},
        {"started", started_},
        {"finished", utc_text(std::chrono::system_clock::now())},
        {"seconds", std::chrono::duration<double>(std::chrono::steady_clock::now() - clock_).count()},
        {"training", Json::parse(training_summary(history_, data_))},
    };
    if (first_) manifest["from"] = {{"model", first_->name()}, {"sha256", first_->sha256()}};
    if (counts_distrusted()) {
      const auto count = trainee.distrusted().size();
      manifest["distrusted"] = {{"rows", count}, {"file", folder_.distrusted().filename().string()}};
      reporter_.info(folder_.distrusted().string() + ": the " + counted(count, "training rows") +
                     " with the highest loss, which the model does not count as normal");
    }
    write_file(folder_.manifest(), manifest.dump(2) + "\n");
    if (fs::exists(folder_.state())) fs::rename(folder_.state(), folder_.last_state());
    tell_end(trainee);
  }

  void tell_end(const Trainee& trainee) const {
    const auto best = best_epoch(history_);
    if (best < 0) {
      return reporter_.info(folder_.model().string() + (trainee.parameter_count() == 0 ? ": fitted, no network trained"
                                                                                       : ": computed, without epochs"));
    }
    const EpochRecord& record = history_[static_cast<std::size_t>(best)];
    reporter_.info(folder_.model().string() + ": weights of epoch " + std::to_string(best + 1) + " of " +
                   std::to_string(history_.size()) + ", training loss " + number_text(record.training.front()) +
                   (record.validation.empty() ? "" : ", held-out loss " + number_text(record.validation.front())));
    if (const auto more = trainee.ending(folder_.model(), record.training, record.validation); !more.empty())
      reporter_.info(more);
  }

  // Whether samples that were left out can be named.
  bool counts_distrusted() const { return config_.training.trim > 0 && !data_.training_numbers.empty(); }

  recipe::Config& config_;
  const RunOptions& options_;
  SilentReporter silent_;
  Reporter& reporter_;
  std::unique_ptr<Group> group_;
  RunFolder folder_;
  const std::string started_ = utc_text(std::chrono::system_clock::now());
  const std::chrono::steady_clock::time_point clock_ = std::chrono::steady_clock::now();
  recipe::Dataset data_;
  int threads_ = 0;
  std::string for_the_folder_, resolved_, fingerprint_;
  std::optional<FirstWeights> first_;
  Start start_ = Start::fresh;
  std::optional<data::Safetensors> earlier_;  // where to go on
  std::vector<EpochRecord> history_;
};

}  // namespace

void run(recipe::Config& config, const RunOptions& options, Reporter& reporter) {
  if (config.data->data().path.empty()) {
    throw UsageError("/data/path: not set; name the training data in the config file or with --data");
  }
  Run(config, options, reporter).run();
}

}  // namespace ae::train
