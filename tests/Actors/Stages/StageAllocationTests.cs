using System.Net;
using Akka.Actor;
using Akka.TestKit;
using Akka.TestKit.Xunit2;
using Llama3Cluster.Actors.Hosting;
using Llama3Cluster.Actors.Links;
using Llama3Cluster.Actors.Protocol;
using Llama3Cluster.Actors.Stages;
using Llama3Cluster.Actors.Tests.Links;
using Llama3Cluster.Kernels.Cpu;
using Llama3Cluster.Kernels.Devices;
using Llama3Cluster.Shards.Execution;
using Llama3Cluster.Shards.Files;
using Llama3Cluster.Shards.Sampling;
using Llama3Cluster.Shards.Slices;
using Microsoft.Extensions.Logging.Abstractions;

namespace Llama3Cluster.Actors.Tests.Stages;

/// <summary>The hot path of a pipeline: stage, socket, stage, sampled tokens, and the next step, on the demo model.</summary>
[Collection(nameof(WholeProcess))]
public sealed class StageAllocationTests : TestKit
{
    private const string Dispatchers = """
        llama3cluster {
          stage-dispatcher.type = PinnedDispatcher
          link-dispatcher.type = PinnedDispatcher
        }
        """;

    private const string Replica = "replica-1";
    private const long Epoch = 5;
    private const int Sequences = 4;
    private const int StepsPerWindow = 25;
    private const int MaxWindows = 400;
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    public StageAllocationTests()
        : base(Dispatchers)
    {
    }

    [Fact]
    public async Task A_decode_step_through_two_stages_and_a_link_must_allocate_nothing()
    {
        using ModelFile file = ModelFile.Open(DemoModel());
        using var first = new CpuDevice(1);
        using var second = new CpuDevice(1);
        NodeContext node = await NodeOf(file);
        TestProbe replica = CreateTestProbe();
        IActorRef entry = Prepare(node, replica, first, 0, new SliceRange(0, 4, true, false));
        IActorRef exit = Prepare(node, replica, second, 1, new SliceRange(4, 8, false, true));

        using var driver = new DecodeDriver(node.Frames, entry);
        IActorRef driverActor = Sys.ActorOf(Props.Create(() => new DriverActor(driver)));
        exit.Tell(new StageActor.Connect(Epoch, driverActor, Remote(1, -1, node)));
        replica.ExpectMsg<StageMessages.StageConnected>(Patience);
        entry.Tell(new StageActor.Connect(Epoch, null, Remote(0, 1, node)));
        replica.ExpectMsg<StageMessages.StageConnected>(Patience);

        // The figure is the whole process's, and its other threads allocate now and then. What the path itself allocates would be
        // in every window, so the first clean window proves that it allocates nothing; early ones warm up pools and queues.
        // Windows are short: the test runner alone allocates ten times a second.
        long best = long.MaxValue;
        for (int window = 0; window < MaxWindows && best > 0; window++)
            best = Math.Min(best, driver.Run(StepsPerWindow));

        Assert.Equal(0, best);
        await Sys.Terminate();
        Assert.Equal(0, node.Frames.Outstanding);
    }

    private IActorRef Prepare(NodeContext node, TestProbe replica, ComputeDevice device, int stage, SliceRange slice)
    {
        var limits = new StageMessages.ReplicaLimits(16, Sequences, 512, Sequences * 32, KvFormat.F16, ActivationFormat.F32);
        IActorRef actor = Sys.ActorOf(StageActor.Props(
            node, new StageDevice(stage, device, 1 << 30, 1e9), new StageMessages.PrepareStage(Replica, Epoch, stage, stage, slice, limits, replica.Ref), default));
        replica.FishForMessage(message => message is StageMessages.StagePrepared, Patience);
        return actor;
    }

    private static StageMessages.ConnectStage Remote(int stage, int next, NodeContext node) =>
        new(Replica, Epoch, stage, next, "elsewhere:1", node.DataEndpoint.Address.ToString(), node.DataEndpoint.Port);

    private async Task<NodeContext> NodeOf(ModelFile file)
    {
        var pool = new FramePool();
        var links = new LinkOptions
        {
            ClusterName = "test",
            ModelFingerprint = file.Fingerprint,
            Pool = pool,
            PingInterval = TimeSpan.FromMinutes(1),
            PingTimeout = TimeSpan.FromMinutes(2),
        };
        IActorRef listener = Sys.ActorOf(LinkListenerActor.Props(links, new IPEndPoint(IPAddress.Loopback, 0)));
        var bound = await listener.Ask<LinkListenerActor.Bound>(LinkListenerActor.GetEndpoint.Instance, Patience);
        return new NodeContext(new ClusterNodeOptions { Model = file }, pool, links, listener, bound.Endpoint, NullLoggerFactory.Instance);
    }

    private static string DemoModel()
    {
        string? folder = AppContext.BaseDirectory;
        while (folder is not null && !File.Exists(Path.Combine(folder, "Llama3Cluster.sln")))
            folder = Path.GetDirectoryName(folder);
        return Path.Combine(folder!, "models", "demo");
    }

    /// <summary>Keeps some sequences decoding: each result makes the next step.</summary>
    private sealed class DecodeDriver(FramePool pool, IActorRef entry) : IDisposable
    {
        private readonly ManualResetEventSlim _done = new();
        private readonly int[] _tokens = [2032, 2032, 2032, 2032];
        private readonly int[] _blocks = [.. Enumerable.Range(0, Sequences * 32)];
        private readonly int[] _token = new int[1];
        private int _left;
        private long _before;
        private long _allocated;
        private int _position;
        private long _number;
        private long _sequence;

        /// <summary>Runs some steps; returns the bytes that the process allocated in all of them but the first.</summary>
        public long Run(int steps)
        {
            _left = steps + 1;
            _before = -1;
            _done.Reset();
            Send();
            if (!_done.Wait(Patience))
                throw new TimeoutException($"{_left} of {steps} steps are still under way");
            return _allocated;
        }

        public void Dispose() => _done.Dispose();

        public void Take(SampledFrame sampled)
        {
            if (sampled.Tokens.Count != Sequences)
                throw new InvalidOperationException($"{sampled.Tokens.Count} tokens of {Sequences} sequences"); // an assertion would allocate
            foreach (ref readonly SampledRow row in sampled.Tokens.Rows)
                _tokens[row.Slot] = row.Token.Token;
            sampled.Release();
            if (_before < 0)
                _before = GC.GetTotalAllocatedBytes(precise: true); // from here on, the waiting thread waits
            if (--_left > 0)
            {
                Send();
                return;
            }

            _allocated = GC.GetTotalAllocatedBytes(precise: true) - _before;
            _done.Set();
        }

        private void Send()
        {
            if (_position == 500)
                _position = 0; // the context ends: the sequences begin again
            if (_position == 0)
                _sequence += Sequences;
            StepFrame frame = pool.RentStep();
            frame.Format = ActivationFormat.F32;
            frame.Step.Epoch = Epoch;
            frame.Step.Number = _number++;
            for (int slot = 0; slot < Sequences; slot++)
            {
                bool begins = _position == 0;
                _token[0] = _tokens[slot];
                frame.Step.Add(
                    new SequenceRun { Slot = slot, Sequence = _sequence + slot, FirstPosition = _position, Begins = begins, Samples = true, SampleIndex = _position, PromptLength = 1, Sampling = begins ? SamplingParameters.Greedy : null },
                    _token, begins ? _blocks.AsSpan(slot * 32, 32) : []);
            }

            _position++;
            entry.Tell(frame, ActorRefs.NoSender);
        }
    }

    private sealed class DriverActor(DecodeDriver driver) : UntypedActor
    {
        protected override void OnReceive(object message)
        {
            if (message is SampledFrame sampled)
                driver.Take(sampled);
        }
    }
}
