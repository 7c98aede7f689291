// SPDX-License-Identifier: Apache-2.0
// gRPC's side of the comparison, with its fastest API of each kind: a callback server; a client
// by callback, or (IN_FLIGHT 0) by the blocking stub, one call at a time.
// Usage: grpc_bench server TARGET
//        grpc_bench client TARGET IN_FLIGHT MILLISECONDS   (prints calls, seconds, p50 and p99 in µs)
#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <grpcpp/grpcpp.h>

#include "bench.grpc.pb.h"

namespace {

constexpr size_t kPayloadBytes = 64;
constexpr int64_t kWarmUpUs = 300000;

int64_t NowUs() {
    using namespace std::chrono;
    return duration_cast<microseconds>(steady_clock::now().time_since_epoch()).count();
}

class EchoImpl final : public bench::EchoService::CallbackService {
    grpc::ServerUnaryReactor *Echo(grpc::CallbackServerContext *context,
                                   const bench::EchoMessage *request,
                                   bench::EchoMessage *response) override {
        response->set_payload(request->payload());
        auto *reactor = context->DefaultReactor();
        reactor->Finish(grpc::Status::OK);
        return reactor;
    }
};

int Serve(const std::string &target) {
    EchoImpl service;
    grpc::ServerBuilder builder;
    builder.AddListeningPort(target, grpc::InsecureServerCredentials());
    builder.RegisterService(&service);
    std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
    if (!server) return 1;
    server->Wait();
    return 0;
}

struct Load {
    std::unique_ptr<bench::EchoService::Stub> stub;
    int64_t count_from_us, end_us;
    std::atomic<int> in_flight{0};
    std::atomic<unsigned> failed{0};
};

// One call in flight, started again from its own callback. Samples are its own: no sharing.
struct Slot {
    Load *load;
    std::unique_ptr<grpc::ClientContext> context;
    bench::EchoMessage request, response;
    int64_t started_us;
    std::vector<uint32_t> samples;

    void Next() {
        context = std::make_unique<grpc::ClientContext>();
        started_us = NowUs();
        load->stub->async()->Echo(context.get(), &request, &response,
                                  [this](const grpc::Status &status) { Done(status); });
    }

    void Done(const grpc::Status &status) {
        int64_t now = NowUs();
        if (!status.ok()) load->failed++;
        if (now >= load->count_from_us && now < load->end_us)
            samples.push_back(static_cast<uint32_t>(now - started_us));
        if (now < load->end_us)
            Next();
        else
            load->in_flight--;
    }
};

void RunBlocking(Load *load, std::vector<uint32_t> *samples) {
    bench::EchoMessage request, response;
    request.set_payload(std::string(kPayloadBytes, '\0'));
    for (int64_t now = NowUs(); now < load->end_us;) {
        grpc::ClientContext context;
        int64_t started = now;
        if (!load->stub->Echo(&context, request, &response).ok()) load->failed++;
        now = NowUs();
        if (started >= load->count_from_us) samples->push_back(static_cast<uint32_t>(now - started));
    }
}

void RunInFlight(Load *load, int in_flight, std::vector<uint32_t> *samples) {
    std::vector<std::unique_ptr<Slot>> slots;
    load->in_flight = in_flight;
    for (int i = 0; i < in_flight; i++) {
        slots.push_back(std::make_unique<Slot>());
        slots.back()->load = load;
        slots.back()->request.set_payload(std::string(kPayloadBytes, '\0'));
        slots.back()->Next();
    }
    while (load->in_flight > 0) std::this_thread::sleep_for(std::chrono::milliseconds(5));
    for (auto &slot : slots) samples->insert(samples->end(), slot->samples.begin(), slot->samples.end());
}

int Measure(const std::string &target, int in_flight, int ms) {
    Load load;
    auto channel = grpc::CreateChannel(target, grpc::InsecureChannelCredentials());
    if (!channel->WaitForConnected(std::chrono::system_clock::now() + std::chrono::seconds(5))) return 1;
    load.stub = bench::EchoService::NewStub(channel);
    load.count_from_us = NowUs() + kWarmUpUs;
    load.end_us = load.count_from_us + int64_t{ms} * 1000;
    std::vector<uint32_t> samples;
    if (in_flight == 0)
        RunBlocking(&load, &samples);
    else
        RunInFlight(&load, in_flight, &samples);
    if (samples.empty() || load.failed > 0) return 1;
    std::sort(samples.begin(), samples.end());
    std::printf("%zu %.3f %u %u\n", samples.size(), (load.end_us - load.count_from_us) / 1e6,
                samples[samples.size() / 2], samples[samples.size() * 99 / 100]);
    return 0;
}

}  // namespace

int main(int argc, char **argv) {
    std::string mode = argc > 1 ? argv[1] : "";
    if (mode == "server" && argc == 3) return Serve(argv[2]);
    if (mode == "client" && argc == 5)
        return Measure(argv[2], std::atoi(argv[3]), std::atoi(argv[4]));
    std::fprintf(stderr, "usage: grpc_bench server TARGET | client TARGET IN_FLIGHT MILLISECONDS\n");
    return 2;
}
