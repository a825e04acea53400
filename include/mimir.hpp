// libmimir_runtime for C++17: the functions of mimir.h as classes. Header-only; link the same library.
//
// Each class owns one handle and deletes it. Failures are exceptions of one type, mimir::Error. Rules of ownership, threads and
// units are those of mimir.h; const member functions may be called by any number of threads at once. Objects can be moved; Model
// and Policy can be copied too, which is cheap for a Model. `capi()` is the handle, for calls of mimir.h; it stays the object's.
// `release()` gives it away.
//
//     const mimir::Policy policy = mimir::Policy::from_file("policy.toml");
//     const mimir::Model model(std::string("model.mimir"), policy);
//     const mimir::Session session(model);
//     for (const mimir_prediction &prediction : session.classify(pixels)) …
#ifndef MIMIR_HPP
#define MIMIR_HPP

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "mimir.h"

namespace mimir {

// What mimir_error says: a code of mimir_error_code, a message, and what a policy asked for in vain.
class Error : public std::runtime_error {
public:
    // Takes the error over. It must not be NULL.
    explicit Error(mimir_error *error) : Error(Owned(error)) {}

    std::int32_t code() const noexcept { return code_; }

    // "PART: NAME: wanted …, found …" for each requirement that is not met; empty unless code() is MIMIR_ERROR_POLICY.
    const std::vector<std::string> &requirements() const noexcept { return requirements_; }

private:
    struct Delete {
        void operator()(mimir_error *error) const noexcept { mimir_error_delete(error); }
    };
    using Owned = std::unique_ptr<mimir_error, Delete>;

    explicit Error(const Owned &error)
        : std::runtime_error(mimir_error_message(error.get())), code_(mimir_error_code(error.get())) {
        for (std::size_t index = 0; index < mimir_error_requirement_count(error.get()); ++index)
            requirements_.emplace_back(mimir_error_requirement(error.get(), index));
    }

    std::int32_t code_;
    std::vector<std::string> requirements_;
};

namespace detail {

// Throws what a call says.
inline void check(mimir_error *error) {
    if (error != nullptr) throw Error(error);
}

// A handle that its `_delete` deletes.
template <typename T, void (*remove)(T *)>
class Handle {
public:
    explicit Handle(T *handle = nullptr) noexcept : handle_(handle) {}

    T *get() const noexcept { return handle_.get(); }

    T *release() noexcept { return handle_.release(); }

private:
    struct Delete {
        void operator()(T *handle) const noexcept { remove(handle); }
    };

    std::unique_ptr<T, Delete> handle_;
};

// A handle that could not be made for want of memory.
template <typename T>
T *made(T *handle) {
    if (handle == nullptr) throw std::bad_alloc();
    return handle;
}

// The text that `write(buffer, capacity, needed)` writes.
template <typename Write>
std::string text(Write write) {
    std::size_t needed = 0;
    check(write(nullptr, 0, &needed));
    std::string text(needed, '\0');
    check(write(text.data(), text.size(), &needed));
    text.resize(needed - 1);
    return text;
}

inline std::optional<std::string> optional(const char *text) {
    return text == nullptr ? std::nullopt : std::optional<std::string>(text);
}

}  // namespace detail

// The version of the library that is running.
inline std::string version() { return mimir_version(); }

// What the library is, as a JSON object.
inline std::string build_info() { return detail::text(mimir_build_info); }

// Loads ONNX Runtime now: from a file, or from where it is found.
inline void load_onnxruntime() { detail::check(mimir_onnxruntime_load(nullptr)); }
inline void load_onnxruntime(const std::string &path) { detail::check(mimir_onnxruntime_load(path.c_str())); }

// What a model must show before it is loaded.
class Policy {
public:
    // Asks for nothing yet; a model is loaded only after something was required.
    Policy() : handle_(detail::made(mimir_policy_new())) {}

    Policy(const Policy &other) : handle_(detail::made(mimir_policy_clone(other.capi()))) {}
    Policy(Policy &&) noexcept = default;
    Policy &operator=(const Policy &other) { return *this = Policy(other); }
    Policy &operator=(Policy &&) noexcept = default;
    ~Policy() = default;

    // What every model meets, for those who mean it.
    static Policy allow_anything() { return Policy(detail::made(mimir_policy_allow_anything())); }

    static Policy from_file(const std::string &path) {
        mimir_policy *out = nullptr;
        detail::check(mimir_policy_from_file(path.c_str(), &out));
        return Policy(out);
    }

    static Policy from_text(std::string_view text) {
        mimir_policy *out = nullptr;
        detail::check(mimir_policy_from_text(text.data(), text.size(), &out));
        return Policy(out);
    }

    Policy &trust_key(std::string_view pem) { return changed(mimir_policy_trust_key(capi(), pem.data(), pem.size())); }
    Policy &require_signatures(std::size_t least) { return changed(mimir_policy_require_signatures(capi(), least)); }
    Policy &require_digest(const std::string &sha256) { return changed(mimir_policy_require_digest(capi(), sha256.c_str())); }
    Policy &require_ball(mimir_norm norm, double epsilon) { return changed(mimir_policy_require_ball(capi(), norm, epsilon)); }
    Policy &require_attacked_accuracy(double least, mimir_compared compared) {
        return changed(mimir_policy_require_attacked_accuracy(capi(), least, compared));
    }
    Policy &require_clean_accuracy(double least) { return changed(mimir_policy_require_clean_accuracy(capi(), least)); }
    Policy &require_preset(const std::string &name) { return changed(mimir_policy_require_preset(capi(), name.c_str())); }
    Policy &require_attack(const std::string &name) { return changed(mimir_policy_require_attack(capi(), name.c_str())); }
    Policy &require_samples(std::size_t least) { return changed(mimir_policy_require_samples(capi(), least)); }
    Policy &require_max_age(std::uint64_t seconds) { return changed(mimir_policy_require_max_age(capi(), seconds)); }
    Policy &deny_warnings() { return changed(mimir_policy_deny_warnings(capi())); }

    mimir_policy *capi() noexcept { return handle_.get(); }
    const mimir_policy *capi() const noexcept { return handle_.get(); }
    mimir_policy *release() noexcept { return handle_.release(); }

private:
    explicit Policy(mimir_policy *handle) noexcept : handle_(handle) {}

    Policy &changed(mimir_error *error) {
        detail::check(error);
        return *this;
    }

    detail::Handle<mimir_policy, mimir_policy_delete> handle_;
};

// The record of an evaluation. A copy that outlives its model.
class Certificate {
public:
    explicit Certificate(const mimir_certificate *certificate)
        : handle_(detail::made(mimir_certificate_clone(certificate))) {}

    mimir_norm norm() const noexcept { return static_cast<mimir_norm>(mimir_certificate_norm(capi())); }
    double epsilon() const noexcept { return mimir_certificate_epsilon(capi()); }
    std::size_t sample_count() const noexcept { return mimir_certificate_sample_count(capi()); }
    std::size_t batch() const noexcept { return mimir_certificate_batch(capi()); }
    std::string created_at() const { return mimir_certificate_created_at(capi()); }
    std::string engine() const { return mimir_certificate_engine(capi()); }
    std::string engine_version() const { return mimir_certificate_engine_version(capi()); }

    mimir_interval clean_accuracy() const {
        mimir_interval interval{};
        detail::check(mimir_certificate_clean_accuracy(capi(), &interval));
        return interval;
    }

    // An upper bound of the robust accuracy on the images, never a proof.
    mimir_interval attacked_accuracy() const {
        mimir_interval interval{};
        detail::check(mimir_certificate_attacked_accuracy(capi(), &interval));
        return interval;
    }

    std::vector<std::string> attacks() const {
        std::vector<std::string> names;
        for (std::size_t index = 0; index < mimir_certificate_attack_count(capi()); ++index)
            names.emplace_back(mimir_certificate_attack_name(capi(), index));
        return names;
    }

    std::string to_json() const {
        return detail::text([this](char *buffer, std::size_t capacity, std::size_t *needed) {
            return mimir_certificate_to_json(capi(), buffer, capacity, needed);
        });
    }

    const mimir_certificate *capi() const noexcept { return handle_.get(); }
    mimir_certificate *release() noexcept { return handle_.release(); }

private:
    detail::Handle<mimir_certificate, mimir_certificate_delete> handle_;
};

// Channels, rows and columns of an image.
struct Shape {
    std::size_t channels;
    std::size_t height;
    std::size_t width;
};

// A picture of 8 bits that somebody else owns: see mimir_model_prepare.
struct Picture {
    const std::uint8_t *bytes;
    std::size_t size;
    std::size_t width;
    std::size_t height;
    std::size_t channels;
    std::size_t row_stride;
};

// A model that met its policy. Copies share it.
class Model {
public:
    // Loads a bundle, a folder or one file.
    Model(const std::string &path, const Policy &policy) {
        mimir_model *out = nullptr;
        detail::check(mimir_model_load(path.c_str(), policy.capi(), &out));
        handle_ = Handle(out);
    }

    // Loads the bytes of a bundle in one file.
    Model(const std::uint8_t *bytes, std::size_t size, const Policy &policy) {
        mimir_model *out = nullptr;
        detail::check(mimir_model_load_memory(bytes, size, policy.capi(), &out));
        handle_ = Handle(out);
    }

    Model(const Model &other) : handle_(detail::made(mimir_model_clone(other.capi()))) {}
    Model(Model &&) noexcept = default;
    Model &operator=(const Model &other) { return *this = Model(other); }
    Model &operator=(Model &&) noexcept = default;
    ~Model() = default;

    Shape input_shape() const {
        std::size_t shape[3] = {0, 0, 0};
        detail::check(mimir_model_input_shape(capi(), shape, 3));
        return {shape[0], shape[1], shape[2]};
    }

    std::size_t input_size() const noexcept { return mimir_model_input_len(capi()); }
    std::size_t class_count() const noexcept { return mimir_model_class_count(capi()); }
    std::optional<std::string> class_name(std::size_t index) const {
        return detail::optional(mimir_model_class_name(capi(), index));
    }
    std::string digest() const { return mimir_model_digest(capi()); }

    std::vector<Certificate> certificates() const {
        std::vector<Certificate> certificates;
        for (std::size_t index = 0; index < mimir_model_certificate_count(capi()); ++index)
            certificates.emplace_back(mimir_model_certificate(capi(), index));
        return certificates;
    }

    std::size_t feature_count() const noexcept { return mimir_model_feature_count(capi()); }
    std::optional<std::string> feature_name(std::size_t index) const {
        return detail::optional(mimir_model_feature_name(capi(), index));
    }
    std::size_t feature_size(std::size_t index) const noexcept { return mimir_model_feature_len(capi(), index); }

    std::string manifest_json() const {
        return detail::text([this](char *buffer, std::size_t capacity, std::size_t *needed) {
            return mimir_model_manifest_json(capi(), buffer, capacity, needed);
        });
    }

    // One image of a picture, as the bundle says.
    std::vector<float> prepare(const Picture &picture) const {
        std::vector<float> pixels(input_size());
        detail::check(mimir_model_prepare(capi(), picture.bytes, picture.size, picture.width, picture.height,
                                          picture.channels, picture.row_stride, pixels.data(), pixels.size()));
        return pixels;
    }

    const mimir_model *capi() const noexcept { return handle_.get(); }
    mimir_model *release() noexcept { return handle_.release(); }

private:
    using Handle = detail::Handle<mimir_model, mimir_model_delete>;

    Handle handle_;
};

// How a model runs: see mimir_session_options in mimir.h for defaults and ranges.
class SessionOptions {
public:
    // Takes a message of the engine, from any thread. It must not throw.
    using Logger = std::function<void(mimir_log_level, std::string_view)>;

    SessionOptions() : handle_(detail::made(mimir_session_options_new())) {}

    SessionOptions &engine(mimir_engine engine) { return set(mimir_session_options_set_engine(capi(), engine)); }
    SessionOptions &onnxruntime(const std::string &path) {
        return set(mimir_session_options_set_onnxruntime(capi(), path.c_str()));
    }
    SessionOptions &device(const std::string &device) {
        return set(mimir_session_options_set_device(capi(), device.c_str()));
    }
    SessionOptions &threads(std::size_t count) { return set(mimir_session_options_set_threads(capi(), count)); }
    SessionOptions &spinning(bool spinning) { return set(mimir_session_options_set_spinning(capi(), spinning)); }
    SessionOptions &batching(mimir_batching batching) { return set(mimir_session_options_set_batching(capi(), batching)); }
    SessionOptions &max_batch(std::size_t images) { return set(mimir_session_options_set_max_batch(capi(), images)); }
    SessionOptions &memory_limit(std::uint64_t bytes) { return set(mimir_session_options_set_memory_limit(capi(), bytes)); }
    SessionOptions &timeout_milliseconds(std::uint64_t milliseconds) {
        return set(mimir_session_options_set_timeout(capi(), milliseconds));
    }
    SessionOptions &warm_up(std::size_t calls) { return set(mimir_session_options_set_warm_up(capi(), calls)); }
    SessionOptions &features(bool features) { return set(mimir_session_options_set_features(capi(), features)); }
    SessionOptions &profile(bool profile) { return set(mimir_session_options_set_profile(capi(), profile)); }
    SessionOptions &workers(std::size_t count) { return set(mimir_session_options_set_workers(capi(), count)); }

    // The sessions made with these options keep the logger alive.
    SessionOptions &logger(mimir_log_level level, Logger logger) {
        auto shared = std::make_shared<Logger>(std::move(logger));
        set(mimir_session_options_set_logger(capi(), level, &SessionOptions::take, shared.get()));
        logger_ = std::move(shared);
        return *this;
    }

    mimir_session_options *capi() noexcept { return handle_.get(); }
    const mimir_session_options *capi() const noexcept { return handle_.get(); }

private:
    friend class Session;

    static void take(std::int32_t level, const char *message, void *payload) {
        (*static_cast<Logger *>(payload))(static_cast<mimir_log_level>(level), message);
    }

    SessionOptions &set(mimir_error *error) {
        detail::check(error);
        return *this;
    }

    detail::Handle<mimir_session_options, mimir_session_options_delete> handle_;
    std::shared_ptr<Logger> logger_;
};

// What ends calls before they have finished: see mimir_limits in mimir.h.
class Limits {
public:
    Limits() : handle_(detail::made(mimir_limits_new())) {}

    Limits &timeout_milliseconds(std::uint64_t milliseconds) {
        detail::check(mimir_limits_set_timeout(handle_.get(), milliseconds));
        return *this;
    }

    // Ends all calls that have these limits, now and later.
    void cancel() const noexcept { mimir_limits_cancel(capi()); }

    const mimir_limits *capi() const noexcept { return handle_.get(); }

private:
    detail::Handle<mimir_limits, mimir_limits_delete> handle_;
};

// A call that a thread of a session makes.
class Request {
public:
    // Told once how the call ended: nothing, or an error. It must not throw.
    using Done = std::function<void(const std::optional<Error> &)>;

    void cancel() const noexcept { mimir_request_cancel(handle_.get()); }

    // Whether it has finished, after at most so long.
    bool wait(std::uint64_t milliseconds = UINT64_MAX) const noexcept {
        return mimir_request_wait(handle_.get(), milliseconds);
    }

private:
    friend class Session;

    explicit Request(mimir_request *handle) noexcept : handle_(handle) {}

    static void take(mimir_error *error, void *payload) {
        const std::unique_ptr<Done> done(static_cast<Done *>(payload));
        std::optional<Error> ended;
        if (error != nullptr) ended.emplace(error);
        (*done)(ended);
    }

    detail::Handle<mimir_request, mimir_request_delete> handle_;
};

// Runs a model, for any number of threads at once.
class Session {
public:
    explicit Session(const Model &model) : Session(model, SessionOptions()) {}

    Session(const Model &model, const SessionOptions &options)
        : logger_(options.logger_), input_size_(model.input_size()), class_count_(model.class_count()) {
        mimir_session *out = nullptr;
        detail::check(mimir_session_new(model.capi(), options.capi(), &out));
        handle_ = Handle(out);
        for (std::size_t index = 0; index < model.feature_count(); ++index)
            feature_sizes_.push_back(model.feature_size(index));
    }

    std::string engine() const { return mimir_session_engine(capi()); }
    std::size_t max_batch() const noexcept { return mimir_session_max_batch(capi()); }
    std::size_t fixed_batch() const noexcept { return mimir_session_fixed_batch(capi()); }

    // Writes the logits of `size` pixels into memory of the caller, without a copy.
    void logits(const float *pixels, std::size_t size, float *logits, std::size_t logits_size,
                const Limits *limits = nullptr) const {
        detail::check(mimir_session_logits(capi(), pixels, size, images(size), of(limits), logits, logits_size));
    }

    // Logits, images x classes, of images x C x H x W pixels.
    std::vector<float> logits(const std::vector<float> &pixels, const Limits *limits = nullptr) const {
        std::vector<float> logits(images(pixels.size()) * class_count_);
        this->logits(pixels.data(), pixels.size(), logits.data(), logits.size(), limits);
        return logits;
    }

    // What the model says about each image; those with a smaller margin abstain.
    std::vector<mimir_prediction> classify(const float *pixels, std::size_t size, float least_margin = 0.0F,
                                           const Limits *limits = nullptr) const {
        std::vector<mimir_prediction> predictions(images(size));
        detail::check(mimir_session_classify(capi(), pixels, size, images(size), of(limits), least_margin,
                                             predictions.data(), predictions.size()));
        return predictions;
    }

    std::vector<mimir_prediction> classify(const std::vector<float> &pixels, float least_margin = 0.0F,
                                           const Limits *limits = nullptr) const {
        return classify(pixels.data(), pixels.size(), least_margin, limits);
    }

    // A feature, images x its values.
    std::vector<float> features(std::size_t feature, const std::vector<float> &pixels,
                                const Limits *limits = nullptr) const {
        const std::size_t count = images(pixels.size());
        std::vector<float> values(count * (feature < feature_sizes_.size() ? feature_sizes_[feature] : 1));
        detail::check(mimir_session_features(capi(), feature, pixels.data(), pixels.size(), count, of(limits), values.data(),
                                             values.size()));
        return values;
    }

    // As `logits`, but a thread of the session does it. The buffers must stay until `done` is called.
    Request logits_async(const float *pixels, std::size_t size, float *logits, std::size_t logits_size, Request::Done done,
                         const Limits *limits = nullptr) const {
        auto payload = std::make_unique<Request::Done>(std::move(done));
        mimir_request *out = nullptr;
        detail::check(mimir_session_logits_async(capi(), pixels, size, images(size), of(limits), logits, logits_size,
                                                 &Request::take, payload.get(), &out));
        // `take` deletes it.
        static_cast<void>(payload.release());
        return Request(out);
    }

    std::string profile_json() const {
        return detail::text([this](char *buffer, std::size_t capacity, std::size_t *needed) {
            return mimir_session_profile_json(capi(), buffer, capacity, needed);
        });
    }

    const mimir_session *capi() const noexcept { return handle_.get(); }

private:
    using Handle = detail::Handle<mimir_session, mimir_session_delete>;

    static const mimir_limits *of(const Limits *limits) noexcept { return limits == nullptr ? nullptr : limits->capi(); }

    // Where it is no whole number of images, mimir.h says so.
    std::size_t images(std::size_t size) const noexcept { return input_size_ == 0 ? 0 : size / input_size_; }

    // Before the handle, so that it goes after it.
    std::shared_ptr<SessionOptions::Logger> logger_;
    std::size_t input_size_;
    std::size_t class_count_;
    std::vector<std::size_t> feature_sizes_;
    Handle handle_;
};

#ifdef MIMIR_HAS_ATTACKS

// What an evaluation found.
class Evaluation {
public:
    // Told how far it is: stage, images that it has finished and works on, images that are robust so far. True ends the
    // evaluation. It must not throw.
    using Progress = std::function<bool(std::string_view, std::size_t, std::size_t, std::size_t)>;

    // What it does: see mimir_certify_options in mimir.h.
    class Options {
    public:
        Options(mimir_norm norm, double epsilon) {
            mimir_certify_options *out = nullptr;
            detail::check(mimir_certify_options_new(norm, epsilon, &out));
            handle_ = detail::Handle<mimir_certify_options, mimir_certify_options_delete>(out);
        }

        Options &attacks(const std::string &names) { return set(mimir_certify_options_set_attacks(capi(), names.c_str())); }
        Options &first(std::size_t images) { return set(mimir_certify_options_set_first(capi(), images)); }
        Options &seed(std::uint64_t seed) { return set(mimir_certify_options_set_seed(capi(), seed)); }
        Options &device(const std::string &device) { return set(mimir_certify_options_set_device(capi(), device.c_str())); }
        Options &report(const std::string &folder) { return set(mimir_certify_options_set_report(capi(), folder.c_str())); }
        Options &write_certificate(bool write) { return set(mimir_certify_options_set_write_certificate(capi(), write)); }

        mimir_certify_options *capi() noexcept { return handle_.get(); }
        const mimir_certify_options *capi() const noexcept { return handle_.get(); }

    private:
        Options &set(mimir_error *error) {
            detail::check(error);
            return *this;
        }

        detail::Handle<mimir_certify_options, mimir_certify_options_delete> handle_;
    };

    // Attacks the model at `path` on labelled images: see mimir_certify in mimir.h.
    static Evaluation run(const std::string &path, const std::string &images, const Options &options,
                          Progress progress = nullptr) {
        mimir_evaluation *out = nullptr;
        detail::check(mimir_certify(path.c_str(), images.c_str(), options.capi(),
                                    progress ? &Evaluation::take : nullptr, &progress, &out));
        return Evaluation(out);
    }

    // Attacks it on images in memory, images x C x H x W pixels in [0, 1], one label each, and keeps the perturbed images: see
    // mimir_attack in mimir.h.
    static Evaluation attack(const std::string &path, const std::vector<float> &pixels,
                             const std::vector<std::uint32_t> &labels, const Options &options,
                             Progress progress = nullptr) {
        mimir_evaluation *out = nullptr;
        detail::check(mimir_attack(path.c_str(), pixels.data(), pixels.size(), labels.data(), labels.size(), options.capi(),
                                   progress ? &Evaluation::take : nullptr, &progress, &out));
        return Evaluation(out);
    }

    // What became of one image, counted from 0.
    std::size_t image_count() const noexcept { return mimir_evaluation_image_count(capi()); }
    mimir_verdict verdict(std::size_t image) const noexcept {
        return static_cast<mimir_verdict>(mimir_evaluation_verdict(capi(), image));
    }
    std::int32_t clean_class(std::size_t image) const noexcept { return mimir_evaluation_clean_class(capi(), image); }
    std::int32_t perturbed_class(std::size_t image) const noexcept { return mimir_evaluation_perturbed_class(capi(), image); }
    double distance(std::size_t image) const noexcept { return mimir_evaluation_distance(capi(), image); }
    std::optional<std::string> attack_name(std::size_t image) const {
        return detail::optional(mimir_evaluation_attack_name(capi(), image));
    }

    // The perturbed image of one that is broken, after `attack`.
    std::vector<float> perturbed(std::size_t image) const {
        // Of nothing that is kept, one place, so that the library says why.
        std::vector<float> pixels(std::max<std::size_t>(mimir_evaluation_perturbed_len(capi()), 1));
        detail::check(mimir_evaluation_perturbed(capi(), image, pixels.data(), pixels.size()));
        return pixels;
    }

    // None where it was ended early.
    std::optional<Certificate> certificate() const {
        const mimir_certificate *known = mimir_evaluation_certificate(capi());
        return known == nullptr ? std::nullopt : std::optional<Certificate>(known);
    }

    std::string report_json() const {
        return detail::text([this](char *buffer, std::size_t capacity, std::size_t *needed) {
            return mimir_evaluation_report_json(capi(), buffer, capacity, needed);
        });
    }

    std::string summary() const {
        return detail::text([this](char *buffer, std::size_t capacity, std::size_t *needed) {
            return mimir_evaluation_summary(capi(), buffer, capacity, needed);
        });
    }

    const mimir_evaluation *capi() const noexcept { return handle_.get(); }

private:
    explicit Evaluation(mimir_evaluation *handle) noexcept : handle_(handle) {}

    static std::int32_t take(const char *stage, std::size_t finished, std::size_t images, std::size_t still_robust,
                             void *payload) {
        return (*static_cast<Progress *>(payload))(stage, finished, images, still_robust) ? 1 : 0;
    }

    detail::Handle<mimir_evaluation, mimir_evaluation_delete> handle_;
};

#endif

}  // namespace mimir

#endif
