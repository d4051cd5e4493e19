// ae-embed --linear: codes in the canonical basis, and the check against principal components.
#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <span>

#include "apply/embed.hpp"
#include "apply/passing.hpp"
#include "apply/streams.hpp"
#include "base/error.hpp"
#include "base/scratch_folder.hpp"
#include "base/signals.hpp"
#include "loss/linear_pair.hpp"
#include "model/principal_components.hpp"
#include "model/threads.hpp"

namespace ae::apply {
namespace {

using Json = nlohmann::ordered_json;

// The samples of an input that can be read only once, in an unnamed temporary file: NaN is what is not observed.
class SpooledSamples final : public model::Samples {
 public:
  explicit SpooledSamples(std::int64_t elements) : elements_(elements), file_(scratch_folder()) {}

  void add(const model::Batch& batch) {
    const auto nothing = torch::full({}, std::numeric_limits<float>::quiet_NaN());
    const auto rows = torch::where(batch.observed > 0, batch.values, nothing).contiguous();
    missing_ += (batch.observed == 0).sum().item<std::int64_t>();
    file_.append(rows.data_ptr<float>(), static_cast<std::size_t>(rows.numel()) * sizeof(float));
    samples_ += rows.size(0);
  }
  std::int64_t missing() const { return missing_; }  // cells

  std::int64_t size() const override { return samples_; }
  model::Batch range(std::int64_t begin, std::int64_t end) const override {
    const auto rows = torch::empty({end - begin, elements_});
    file_.read(static_cast<std::uint64_t>(begin * elements_) * sizeof(float), rows.data_ptr<float>(),
               static_cast<std::size_t>(rows.numel()) * sizeof(float));
    return {torch::nan_to_num(rows, 0.0), rows.isnan().logical_not().to(torch::kFloat32)};
  }
  model::Batch batch(const std::vector<std::int64_t>& indices) const override {
    std::vector<at::Tensor> values, observed;
    for (const auto i : indices) {
      const auto one = range(i, i + 1);
      values.push_back(one.values);
      observed.push_back(one.observed);
    }
    return {torch::cat(values), torch::cat(observed)};
  }
  bool has_missing() const override { return missing_ > 0; }

 private:
  std::int64_t elements_;
  ScratchFile file_;
  std::int64_t samples_ = 0, missing_ = 0;
};

// The texts of lines, in an unnamed temporary file, block by block.
class SpooledTexts {
 public:
  struct Line {
    bool read = true;  // the sample could be
    std::string id;
    std::vector<std::string> texts;
  };
  SpooledTexts() : file_(scratch_folder()) {}

  void add(const std::vector<Line>& lines) {
    std::string bytes;
    const auto put = [&](const std::string& text) {
      const std::uint64_t size = text.size();
      bytes.append(reinterpret_cast<const char*>(&size), sizeof size).append(text);
    };
    for (const auto& line : lines) {
      bytes += line.read ? '\1' : '\0';
      put(line.id);
      for (const auto& text : line.texts) put(text);
    }
    blocks_.push_back({file_.append(bytes.data(), bytes.size()), bytes.size(), lines.size()});
  }

  // Calls visit(lines) for every block, in order; each line has so many texts.
  template <typename Visit>
  void for_each(std::size_t texts, const Visit& visit) const {
    for (const auto& block : blocks_) {
      std::string bytes(block.size, '\0');
      file_.read(block.begin, bytes.data(), bytes.size());
      const char* at = bytes.data();
      const auto take = [&] {
        std::uint64_t size = 0;
        std::memcpy(&size, at, sizeof size);
        std::string text(at + sizeof size, size);
        at += sizeof size + size;
        return text;
      };
      std::vector<Line> lines(block.lines);
      for (auto& line : lines) {
        line.read = *at++ != '\0';
        line.id = take();
        for (std::size_t i = 0; i < texts; ++i) line.texts.push_back(take());
      }
      visit(lines);
    }
  }

 private:
  struct Block {
    std::uint64_t begin;
    std::size_t size, lines;
  };
  ScratchFile file_;
  std::vector<Block> blocks_;
};

// Rounding of float32 weights, squared, is some 1e-14 of the total: an optimum below this share of it is told apart
// from 0 by no network.
constexpr double kSmallestShare = 1e-8;

double excess(double error, double optimum, double total) {
  const double scale = std::max(optimum, kSmallestShare * total);
  return scale > 0 ? (error - optimum) / scale : 0;
}

// The error of the network's own reconstructions, as model::error_of() counts. By its weights in float64: the rounding
// of its float32 answers would be some 1e-8 of an error that is small beside the values.
double network_error(const loss::Autoencoder& pair, const model::Samples& samples) {
  constexpr std::int64_t kSamples = 4096;
  double sum = 0, seen = 0;
  for (std::int64_t begin = 0; begin < samples.size(); begin += kSamples) {
    throw_if_stopped("checking");
    const auto batch = samples.range(begin, std::min(begin + kSamples, samples.size()));
    const auto observed = batch.observed.to(torch::kFloat64);
    const auto residual = (batch.values.to(torch::kFloat64) - loss::linear_answer(pair, batch)) * observed;
    const auto count = observed.sum(1);
    sum += (residual.square().sum(1) / count.clamp_min(1)).sum().item<double>();
    seen += (count > 0).sum().item<double>();
  }
  return sum / std::max(seen, 1.0);
}

std::vector<double> numbers_of(const at::Tensor& tensor) {
  const auto dense = tensor.to(torch::kFloat64).contiguous();
  return {dense.data_ptr<double>(), dense.data_ptr<double>() + dense.numel()};
}

class LinearEmbedder {
 public:
  LinearEmbedder(const recipe::Checkpoint& checkpoint, const EmbedOptions& options, CodeFile& file, Reporter& reporter)
      : checkpoint_(checkpoint),
        pair_(checkpoint.autoencoder()),
        options_(options),
        file_(file),
        reporter_(reporter),
        passing_(options.stream.reading, code_names(1, loss::decoder_basis(pair_).count())),
        samples_(std::ssize(pair_.elements())) {}

  EmbedTotals run(std::string& report) {
    read();
    const model::SerialLibraries serial;  // the same bytes for any number of threads
    const torch::NoGradGuard no_grad;
    const auto own = canonical_basis();
    report = check(own);
    write(own.basis);
    return totals_;
  }

 private:
  void read() {
    UnreadSamples unread(reporter_);
    const auto stream = open_stream(checkpoint_, options_.stream, reporter_);
    stream->for_each([&](const recipe::SampleBlock& block) {
      begin(*stream);
      std::vector<SpooledTexts::Line> lines;
      std::vector<std::int64_t> read;
      for (std::int64_t i = 0; i < block.batch.samples(); ++i) {
        if (Passing::unread(block, i)) {
          unread.tell(block.problems[static_cast<std::size_t>(i)]);
        } else {
          read.push_back(i);
        }
        lines.push_back({!Passing::unread(block, i), Passing::id_of(block, i), passing_.texts_of(block, i)});
        texts_ = lines.back().texts.size();
      }
      lines_.add(lines);
      const auto rows = torch::tensor(read, torch::kInt64);
      samples_.add({block.batch.values.index_select(0, rows), block.batch.observed.index_select(0, rows)});
      totals_.samples += std::ssize(read);
    });
    begin(*stream);
    totals_.bad = stream->bad();
    check_any(totals_.samples, totals_.bad, options_.stream.allow_empty);
  }

  void begin(const recipe::SampleStream& stream) {
    if (!begun_) passing_.begin(file_, stream.has_labels());
    begun_ = true;
  }

  model::Spread canonical_basis() const { return model::canonical(samples_, loss::decoder_basis(pair_)); }

  std::string check(const model::Spread& own) {
    const auto& basis = own.basis;
    const auto best = model::principal_components(samples_, basis.count(), reporter_, basis);
    if (!best.converged) {
      reporter_.warning("alternating least squares has not converged after " + std::to_string(best.rounds) +
                        " rounds; what is compared with may not be the optimum");
    }
    const double total = model::total_error(samples_), of_decoder = model::error_of(samples_, basis),
                 of_network = network_error(pair_, samples_);
    const bool em = samples_.has_missing();
    const double judged = em ? of_decoder : of_network;
    const auto share = [&](double error) { return total > 0 ? 1 - error / total : 1.0; };
    const auto angles = model::principal_angles(best.spread.basis.axes, basis.axes);
    const Json json{
        {"model", checkpoint_.digest()},
        {"rows", totals_.samples},
        {"columns", std::ssize(pair_.elements())},
        {"components", basis.count()},
        {"missing_cells", samples_.missing()},
        {"compared_with", em ? "em" : "svd"},
        {"judged", em ? "decoder" : "network"},
        {"excess_error", excess(judged, best.error, total)},
        {"largest_angle_degrees", angles.max().item<double>()},
        {"explained_variance", share(judged)},
        {"optimal_explained_variance", share(best.error)},
        {"decoder_excess_error", excess(of_decoder, best.error, total)},
        {"network_excess_error", excess(of_network, best.error, total)},
        {"angles_degrees", numbers_of(angles)},
        {"axis_cosines", numbers_of((best.spread.basis.axes * basis.axes).sum(0).abs())},
        {"deviations", numbers_of(own.deviations)},
        {"optimal_deviations", numbers_of(best.spread.deviations)},
        {"rounds", best.rounds},
        {"converged", best.converged},
    };
    return json.dump(2) + "\n";
  }

  // In blocks of one size, whatever those of the input were: the last bit of a product may depend on its height.
  void write(const model::Basis& basis) {
    constexpr std::int64_t kRows = 4096;
    at::Tensor codes;
    std::int64_t next = 0;
    const auto next_code = [&]() -> std::span<const float> {
      if (next % kRows == 0) {
        throw_if_stopped("writing codes");
        const auto rows = samples_.range(next, std::min(next + kRows, samples_.size()));
        codes = model::nearest_codes(basis, rows).to(torch::kFloat32).contiguous();
      }
      return {codes[next++ % kRows].data_ptr<float>(), static_cast<std::size_t>(basis.count())};
    };
    lines_.for_each(texts_, [&](const std::vector<SpooledTexts::Line>& lines) {
      for (const auto& line : lines) {
        const auto code = line.read ? next_code() : std::span<const float>();
        check_finite(code, line.id);
        file_.add(line.id, code, line.texts);
      }
    });
    file_.finish();
  }

  const recipe::Checkpoint& checkpoint_;
  const loss::Autoencoder& pair_;
  const EmbedOptions& options_;
  CodeFile& file_;
  Reporter& reporter_;
  Passing passing_;
  SpooledSamples samples_;  // those that could be read
  SpooledTexts lines_;      // of all
  std::size_t texts_ = 0;   // of a line
  bool begun_ = false;
  EmbedTotals totals_;
};

}  // namespace

EmbedTotals embed_linear(const recipe::Checkpoint& checkpoint, const EmbedOptions& options, CodeFile& file,
                         std::string& report, Reporter& reporter) {
  check_network(checkpoint, "ae-embed", "encode samples");
  if (const auto complaint = loss::not_linear(checkpoint.autoencoder(), checkpoint.config().loss.terms);
      !complaint.empty()) {
    throw UsageError("--linear: " + checkpoint.name() + ": " + complaint + ", or leave --linear out");
  }
  if (options.stream.allow_empty) {
    throw UsageError("--linear: there is no basis for no rows; leave --allow-empty out");
  }
  return LinearEmbedder(checkpoint, options, file, reporter).run(report);
}

}  // namespace ae::apply
