#include "train/run.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <torch/version.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <ctime>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/error.hpp"
#include "base/files.hpp"
#include "base/text.hpp"
#include "base/version.hpp"
#include "config/document.hpp"
#include "model/image_samples.hpp"
#include "model/threads.hpp"
#include "recipe/checkpoint.hpp"
#include "recipe/image_calibration.hpp"
#include "score/maps.hpp"
#include "train/loop.hpp"
#include "train/reconstruction.hpp"

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
  fs::path metrics() const { return path_ / "metrics.csv"; }
  fs::path config() const { return path_ / "config.json"; }
  fs::path distrusted() const { return path_ / "distrusted.idx"; }
  fs::path manifest() const { return path_ / "run.json"; }
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
  int descriptor_ = -1;
};

std::string utc_now() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  gmtime_r(&now, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

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
Start decide(const RunFolder& folder, const RunOptions& options, const std::string& fingerprint) {
  if (!options.resume) return Start::fresh;
  if (fs::exists(folder.state())) return Start::resume;
  if (!fs::exists(folder.model()) || !fs::exists(folder.manifest())) return Start::fresh;
  const auto json = Json::parse(read_file(folder.manifest(), FileKind::data), nullptr, false);
  if (json.is_object() && json.contains("fingerprint") && json["fingerprint"] == fingerprint) {
    return Start::nothing_to_do;
  }
  throw UsageError(folder.path().string() +
                   ": holds the finished model of another config or other data; use --force to replace it");
}

// Samples without some of them.
class Kept final : public model::Samples {
 public:
  Kept(const model::Samples& all, const std::vector<std::int64_t>& left_out) : all_(all) {
    for (std::int64_t i = 0; i < all.size(); ++i) {
      if (!std::binary_search(left_out.begin(), left_out.end(), i)) kept_.push_back(i);
    }
  }
  std::int64_t size() const override { return static_cast<std::int64_t>(kept_.size()); }
  model::Batch batch(const std::vector<std::int64_t>& indices) const override {
    std::vector<std::int64_t> chosen;
    for (const auto i : indices) chosen.push_back(kept_[static_cast<std::size_t>(i)]);
    return all_.batch(chosen);
  }
  model::Batch range(std::int64_t begin, std::int64_t end) const override {
    return all_.batch({kept_.begin() + begin, kept_.begin() + end});
  }
  bool has_missing() const override { return all_.has_missing(); }

 private:
  const model::Samples& all_;
  std::vector<std::int64_t> kept_;
};

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

void check_targets(const loss::Composition& loss, const model::Domain& domain, const model::Samples& samples) {
  constexpr std::int64_t kMostSamples = 256, kMostValues = 1 << 20;
  auto values = static_cast<std::int64_t>(domain.elements.size());
  for (const auto side : domain.grid) values *= side;
  const std::int64_t at_once = std::clamp<std::int64_t>(kMostValues / values, 1, kMostSamples);
  for (std::int64_t begin = 0; begin < samples.size(); begin += at_once) {
    loss.check_targets(samples.range(begin, std::min(begin + at_once, samples.size())));
  }
}

std::string samples_line(const recipe::Dataset& data) {
  if (!data.geometry) {
    return std::to_string(data.training->size()) + " training rows, " + std::to_string(data.held_out->size()) +
           " held out, " + std::to_string(data.domain.elements.size()) + " columns";
  }
  const auto& training = dynamic_cast<const model::ImageSamples&>(*data.training);
  const auto& held_out = dynamic_cast<const model::ImageSamples&>(*data.held_out);
  return std::to_string(training.images()) + " training images, " + std::to_string(held_out.images()) + " held out, " +
         std::to_string(training.size()) + " tiles of " + std::to_string(data.geometry->channels) + " x " +
         data::size_text({data.geometry->height, data.geometry->width});
}

}  // namespace

void run(recipe::Config& config, const RunOptions& options, Reporter& given_reporter) {
  if (config.data->path.empty()) {
    throw UsageError("/data/path: not set; name the training data in the config file or with --data");
  }
  const std::string started = utc_now();
  const auto clock = std::chrono::steady_clock::now();
  const bool leader = options.world.leader();
  SilentReporter silent;
  Reporter& reporter = leader ? given_reporter : silent;
  const auto timeout = std::chrono::duration<double>(options.peer_timeout);
  const auto group = Group::join(options.world, std::chrono::ceil<std::chrono::milliseconds>(timeout));
  group->together([&] {
    if (leader) check_folder(options);
  });

  const auto seed = static_cast<std::uint64_t>(config.training.seed);
  std::optional<recipe::Dataset> loaded;
  group->together([&] {
    const int threads = options.threads > 0 ? options.threads : model::available_threads(options.world.local_size);
    loaded.emplace(recipe::load_dataset(*config.data, reporter, {config.training.validation_fraction, seed}, threads));
  });
  const recipe::Dataset& data = *loaded;
  const model::Samples& training = *data.training;
  const model::Samples& held_out = *data.held_out;

  // What "null" left to us is decided here, before anything is stored.
  config.loss.resolve(data.domain.elements, config.model->variational());
  config.training.resolve(training.has_missing());
  if (data.domain.images() && config.score.type() == "loss") config.score.select("map");
  score::check_judges(*config.score, data.domain);
  const bool observed_matters = training.has_missing() || config.training.masks_cells();
  loss::Autoencoder autoencoder(*config.model, config.loss.terms, data.domain, observed_matters, seed);
  config.training.check(data.domain);
  check_targets(autoencoder.loss(), data.domain, training);
  const double weights = static_cast<double>(autoencoder.network().parameter_count());
  // A step is a forward pass and about twice as much for the gradients.
  double step_operations =
      3 * autoencoder.network().operations(data.domain) * static_cast<double>(config.training.batch_size);
  // The dense engine hands over whole members, which pays much sooner.
  if (uses_dense_engine(autoencoder, config.training) && autoencoder.members() > 1) step_operations *= 20;
  // A head that does not ask the network is most of the work, and shares it out itself.
  const bool by_head = !config.score->asks_network();
  if (by_head) step_operations = std::max(step_operations, 1e9);
  const int threads = model::use_threads(options.threads, step_operations,
                                         data.domain.images() || by_head ? model::Pool::openmp : model::Pool::blas,
                                         options.world.local_size);

  const std::string for_the_folder = config::to_json(config, config::Paths::resolved);
  config.data->cache = {};  // where the data wait is no part of the model, and a resumed run may have them elsewhere
  // Neither threads nor processes are part of it: a run may continue on another machine, or on several.
  const std::string resolved = config::to_json(config, config::Paths::as_written);
  const std::string fingerprint = sha256_of(resolved + data.data_sha256);
  std::string common = fingerprint;
  group->broadcast(common, 0);
  RunFolder folder(options.folder);
  Start start = Start::fresh;
  group->together([&] {
    if (common != fingerprint) throw UsageError("the config or the data are not the same as those of rank 0");
    if (!leader) return;
    folder.open();
    start = decide(folder, options, fingerprint);
  });
  std::string decision(1, static_cast<char>(start));
  group->broadcast(decision, 0);
  if (static_cast<Start>(decision.front()) == Start::nothing_to_do) {
    reporter.info(folder.model().string() + ": training is already complete");
    return;
  }
  if (autoencoder.network().uses_batch_statistics() && training.size() < 2) {
    throw UsageError("/model/norm: batch normalisation needs at least two training rows; use \"layer\" or \"none\"");
  }
  if (autoencoder.network().uses_batch_statistics() && group->size() > 1) {
    throw UsageError(
        "/model/norm: batch normalisation would normalise each process's part of a batch by itself; use "
        "another norm, or one process");
  }

  ReconstructionObjective objective(autoencoder, training, held_out, config.training, *group);
  std::vector<std::int64_t> distrusted;  // training samples, by the published model
  const auto publish = [&](const recipe::Arrays& best, const std::vector<EpochRecord>& history, bool last) {
    // The best weights go into a pair of their own: the one in training goes on undisturbed.
    const loss::Autoencoder finished(*config.model, config.loss.terms, data.domain, observed_matters, seed);
    recipe::restore_tensors("", finished.network().state(), best, "best weights");
    distrusted = highest_losses(finished, training, config.training.trim);
    std::vector<double> calibration;
    if (auto* maps = dynamic_cast<score::MapHead*>(&*config.score)) {
      // A model on the way is calibrated on few images, so that training goes on soon.
      constexpr std::int64_t kImagesOnTheWay = 50;
      const auto& images = dynamic_cast<const model::ImageSamples&>(held_out);
      calibration = recipe::calibrate_map_head(*maps, finished, *data.geometry, images,
                                               last ? images.images() : std::min(images.images(), kImagesOnTheWay),
                                               config.training.corruption, seed, last ? reporter : silent);
    } else {
      const Kept trusted(training, distrusted);
      const score::FitContext context{finished, trusted, held_out, seed, reporter};
      config.score->fit(context);
      calibration = score::honest_scores(context, *config.score);
    }
    recipe::write_checkpoint(folder.model(), {config, data.schema, data.geometry, observed_matters, best, *config.score,
                                              calibration, training_summary(history, data)});
    if (config.training.trim > 0 && !data.domain.images()) {
      write_file(folder.distrusted(), index_text(distrusted, data.training_rows));
    }
    write_file(folder.metrics(), metrics_csv(objective.part_names(), history));
  };
  Loop loop(objective, config.training, folder.state().string(), fingerprint, publish, reporter, *group);
  group->together([&] {
    if (!leader) return;
    if (start == Start::resume) {
      loop.resume();
      reporter.info("continuing after epoch " + std::to_string(loop.history().size()));
    } else {
      for (const auto& path : {folder.manifest(), folder.state(), folder.model()}) fs::remove(path);
    }
    write_file(folder.config(), for_the_folder);
  });
  reporter.info(samples_line(data) + ", " + number_text(weights) + " weights" +
                (group->size() > 1
                     ? ", " + std::to_string(group->size()) + " processes over " + std::string(group->medium())
                     : ""));
  loop.run();
  group->together([&] {
    if (!leader) return;
    const auto& history = loop.history();
    Json manifest{
        {"program", "ae-train"},
        {"arguments", options.arguments},
        {"fingerprint", fingerprint},
        {"config_sha256", sha256_of(resolved)},
        {"data_sha256", data.data_sha256},
        {"model_sha256", sha256_of_file(folder.model())},
        {"seed", config.training.seed},
        {"threads", threads},
        {"processes", group->size()},
        {"versions", {{"aetools", version()}, {"git", git_hash()}, {"libtorch", TORCH_VERSION}}},
        {"started", started},
        {"finished", utc_now()},
        {"seconds", std::chrono::duration<double>(std::chrono::steady_clock::now() - clock).count()},
        {"training", Json::parse(training_summary(history, data))},
    };
    if (config.training.trim > 0 && !data.domain.images()) {
      manifest["distrusted"] = {{"rows", distrusted.size()}, {"file", folder.distrusted().filename().string()}};
      reporter.info(folder.distrusted().string() + ": the " + std::to_string(distrusted.size()) +
                    " training rows with the highest loss, which the model does not count as normal");
    }
    write_file(folder.manifest(), manifest.dump(2) + "\n");
    fs::remove(folder.state());
    const auto best = best_epoch(history);
    const EpochRecord& record = history[static_cast<std::size_t>(best)];
    reporter.info(folder.model().string() + ": weights of epoch " + std::to_string(best + 1) + " of " +
                  std::to_string(history.size()) + ", training loss " + number_text(record.training.front()) +
                  (record.validation.empty() ? "" : ", held-out loss " + number_text(record.validation.front())));
  });
}

}  // namespace ae::train
