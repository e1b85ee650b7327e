using System.Net;
using Akka.Actor;
using Llama3Cluster.Actors.Hosting;
using Llama3Cluster.Actors.Links;
using Llama3Cluster.Actors.Protocol;
using Llama3Cluster.Kernels.Devices;
using Llama3Cluster.Shards.Execution;
using Llama3Cluster.Shards.Execution.Replay;
using Llama3Cluster.Shards.Planning;
using Llama3Cluster.Shards.Slices;
using Microsoft.Extensions.Logging;

namespace Llama3Cluster.Actors.Stages;

/// <summary>
/// One slice of the model on one device. It loads the slice, then carries the steps of its epoch through it and hands them on: to
/// the next stage, or as sampled tokens to the replica. It has a thread of its own (pinned dispatcher): a step blocks it.
/// </summary>
/// <remarks>
/// States: loading, then standing by for an epoch, then active in it; while active it can stand by for the next one
/// (<see cref="StageLife"/>). Steps of another epoch are dropped and counted. Any error ends the epoch: the replica is told, and the
/// stage waits to be given a newer one.
/// </remarks>
public sealed class StageActor : UntypedActor
{
    private static long _staleFrames;
    private static long _rowsComputed;
    private static long _rowsReused;

    private readonly NodeContext _node;
    private readonly StageDevice _device;
    private readonly CancellationToken _retired;
    private readonly ILogger _log;
    private readonly StageLife _life;
    private StageExecutor? _executor;
    private IActorRef? _next;
    private IActorRef? _link;

    /// <summary>Use <see cref="Props"/>.</summary>
    public StageActor(NodeContext node, StageDevice device, StageMessages.PrepareStage assignment, CancellationToken retired)
    {
        _node = node;
        _log = node.Loggers.CreateLogger<StageActor>();
        _device = device;
        _life = new StageLife(assignment);
        _retired = retired;
    }

    /// <summary>Frames of other epochs that this process has dropped; a fenced stage's frames show up here.</summary>
    public static long StaleFrames => Interlocked.Read(ref _staleFrames);

    /// <summary>Rows that the stages of this process have computed.</summary>
    public static long RowsComputed => Interlocked.Read(ref _rowsComputed);

    /// <summary>Rows that came to the stages of this process again, after a loss or of a prompt that was cached to its end, and that they still held.</summary>
    public static long RowsReused => Interlocked.Read(ref _rowsReused);

    /// <summary>How to make one.</summary>
    /// <param name="node">The node's shared parts.</param>
    /// <param name="device">The device it computes on; stages that share it take turns.</param>
    /// <param name="assignment">What to load, and for which epoch.</param>
    /// <param name="retired">Cancelled when the stage is not wanted any more: ends a load early.</param>
    public static Props Props(NodeContext node, StageDevice device, StageMessages.PrepareStage assignment, CancellationToken retired) =>
        Akka.Actor.Props.Create(() => new StageActor(node, device, assignment, retired)).WithDispatcher("llama3cluster.stage-dispatcher");

    /// <summary>The stage keeps its weights and stands by for a newer epoch, while it goes on with the present one.</summary>
    /// <param name="Assignment">The same slice and limits, with the new epoch.</param>
    public sealed record StandBy(StageMessages.PrepareStage Assignment) : INoSerializationVerificationNeeded;

    /// <summary>Begin the epoch that the stage stands by for, of which it holds no sequence yet, and connect it to where its results go.</summary>
    /// <param name="Epoch">The epoch that this is for.</param>
    /// <param name="Local">The receiving actor, when it is in this process.</param>
    /// <param name="Remote">How to reach it otherwise.</param>
    public sealed record Connect(long Epoch, IActorRef? Local, StageMessages.ConnectStage Remote) : INoSerializationVerificationNeeded;

    /// <inheritdoc/>
    protected override void PreStart()
    {
        Tell(new StageMessages.StageLoading(_life.Newest.ReplicaId, _life.Newest.Epoch, _life.Newest.Stage, 0));
        Self.Tell(Load.Instance);
    }

    /// <inheritdoc/>
    protected override void OnReceive(object message)
    {
        switch (message)
        {
            case StepFrame frame:
                Compute(frame);
                break;
            case Load:
                LoadSlice();
                break;
            case StandBy standBy:
                Prepare(standBy.Assignment);
                break;
            case Connect connect:
                Begin(connect);
                break;
            case LinkUp up when Sender.Equals(_link):
                _next = _link;
                Connected();
                break;
            case LinkUp:
                break; // of the stage before
            case LinkDown down:
                Fail(down.Address.Epoch, down.Reason);
                break;
            default:
                Unhandled(message);
                break;
        }
    }

    /// <inheritdoc/>
    protected override void PostStop()
    {
        Disconnect();
        StopListening(_life.Serving);
        StopListening(_life.Standby);
        _executor?.Dispose();
    }

    private StageMessages.PrepareStage Serving => _life.Serving!;

    private static LinkAddress AddressOf(StageMessages.PrepareStage assignment) => new(assignment.ReplicaId, assignment.Epoch, assignment.Stage);

    private void LoadSlice()
    {
        StageMessages.PrepareStage assignment = _life.Newest;
        StageMessages.ReplicaLimits limits = assignment.Limits;
        try
        {
            var options = SliceOptions.ForServing(limits.MaxRows, limits.MaxSequences, limits.ContextLength, limits.KvBlocks, limits.KvFormat);
            FetchWeights(assignment);
            var slice = ModelSlice.Load(_node.Options.Model, _device.Device, assignment.Slice, options, new Reporter(this), _retired);
            long log = _node.Options.ReplayLogBytes;
            _executor = new StageExecutor(slice, limits.MaxSequences, log > 0 ? new ReplayOptions(log, limits.Activations) : null);
            _log.LogInformation("stage {Stage} of {Replica} holds {Slice}: {Memory} on {Device}", assignment.Stage,
                assignment.ReplicaId, assignment.Slice, slice.Memory, _device.Device.Name);
            Prepared();
        }
        catch (OperationCanceledException)
        {
            Context.Stop(Self);
        }
        catch (Exception error)
        {
            _log.LogError(error, "stage {Stage} of {Replica} could not load {Slice}", assignment.Stage, assignment.ReplicaId, assignment.Slice);
            Tell(new StageMessages.StageFailed(assignment.ReplicaId, assignment.Epoch, assignment.Stage, error.Message));
        }
    }

    // On a node without the model's files, what the slice needs comes from other nodes first.
    private void FetchWeights(StageMessages.PrepareStage assignment)
    {
        if (_node.Options.Partial is not { } partial)
            return;
        (long bytes, long fetched) = partial.Ensure(
            assignment.Slice, _node.Links, _node.Sources, new FetchReporter(assignment, Self), _log, _retired);
        _log.LogInformation(
            "weights of {Slice}: {Bytes} verified, {Fetched} of them fetched just now; {Held} of the model's {Model} are in {Folder}", assignment.Slice,
            ByteSize.Format(bytes), ByteSize.Format(fetched), ByteSize.Format(partial.HeldBytes), ByteSize.Format(partial.ModelBytes), partial.Folder);
        Context.Parent.Tell(StageHostActor.WeightsFetched.Instance);
    }

    private void Prepare(StageMessages.PrepareStage assignment)
    {
        StageMessages.PrepareStage? passedOver = _life.Standby;
        if (passedOver?.Epoch == assignment.Epoch)
        {
            if (_executor is not null)
                Prepared(); // the answer may have been lost
            return;
        }

        if (!_life.Prepare(assignment))
        {
            Interlocked.Increment(ref _staleFrames);
            return;
        }

        StopListening(passedOver);
        if (_executor is null)
            LoadSlice();
        else
            Prepared();
    }

    private void Prepared()
    {
        StageMessages.PrepareStage assignment = _life.Newest;
        _node.Listener.Tell(new LinkListenerActor.Register(AddressOf(assignment), Self));
        Tell(new StageMessages.StagePrepared(
            assignment.ReplicaId, assignment.Epoch, assignment.Stage, _node.DataEndpoint.Address.ToString(), _node.DataEndpoint.Port));
    }

    private void Begin(Connect connect)
    {
        StageMessages.PrepareStage? before = _life.Serving;
        if (_next is not null && _life.Accepts(connect.Epoch))
        {
            Connected(); // again: the answer may have been lost
            return;
        }

        if (!_life.Begin(connect.Epoch))
        {
            Interlocked.Increment(ref _staleFrames);
            return;
        }

        Disconnect();
        StopListening(before);
        _executor!.Reset();
        if (connect.Local is not null)
        {
            _next = connect.Local;
            Connected();
            return;
        }

        var address = new LinkAddress(Serving.ReplicaId, Serving.Epoch, connect.Remote.NextStage);
        _link = Context.ActorOf(LinkActor.Props(
            _node.Links, new IPEndPoint(IPAddress.Parse(connect.Remote.DataHost), connect.Remote.DataPort), address, Self));
    }

    private void Connected() => Tell(new StageMessages.StageConnected(Serving.ReplicaId, Serving.Epoch, Serving.Stage));

    private void Compute(StepFrame frame)
    {
        if (!_life.Accepts(frame.Step.Epoch) || _next is null)
        {
            Interlocked.Increment(ref _staleFrames);
            frame.Release();
            return;
        }

        (long epoch, long number) = (frame.Step.Epoch, frame.Step.Number);
        if (!_life.Follows(number))
        {
            frame.Release();
            Fail(epoch, $"step {number} does not follow the one before");
            return;
        }

        try
        {
            using DeviceTurns.Turn turn = _device.Device.Turns.Take();
            Run(frame);
            if (Serving.Slice.HasHead)
                SendSampled(frame);
            else
                SendOnward(frame);
        }
        catch (Exception error) when (error is not OutOfMemoryException)
        {
            frame.Release();
            _executor!.Forget(); // what the device has written is not known
            Fail(epoch, error.Message);
        }
    }

    private void Run(StepFrame frame)
    {
        (long computed, long reused) = (_executor!.RowsComputed, _executor.RowsReused);
        _executor.Run(frame.Step, frame.Payload, frame.Format);
        Interlocked.Add(ref _rowsComputed, _executor.RowsComputed - computed);
        Interlocked.Add(ref _rowsReused, _executor.RowsReused - reused);
    }

    private void SendOnward(StepFrame frame)
    {
        int bytes = _executor!.PayloadBytes(frame.Step.RowCount, frame.Format);
        _executor.GetOutput(frame.Step, frame.PreparePayload(bytes), frame.Format);
        _next!.Tell(frame, Self);
    }

    private void SendSampled(StepFrame frame)
    {
        SampledFrame sampled = _node.Frames.RentSampled();
        try
        {
            _executor!.Sample(frame.Step, sampled.Tokens);
        }
        catch
        {
            sampled.Release();
            throw;
        }

        frame.Release();
        _next!.Tell(sampled, Self);
    }

    private void Fail(long epoch, string reason)
    {
        if (_life.End(epoch))
            Disconnect();
        else if (_life.Standby?.Epoch != epoch)
            return; // of an epoch that is over
        StageMessages.PrepareStage assignment = _life.Standby?.Epoch == epoch ? _life.Standby : Serving;
        Tell(new StageMessages.StageFailed(assignment.ReplicaId, epoch, assignment.Stage, reason));
    }

    private void StopListening(StageMessages.PrepareStage? assignment)
    {
        if (assignment is not null)
            _node.Listener.Tell(new LinkListenerActor.Unregister(AddressOf(assignment)));
    }

    private void Disconnect()
    {
        if (_link is not null)
            Context.Stop(_link);
        _link = _next = null;
    }

    private void Tell(IReplicaMessage message) => _life.Newest.Replica.Tell(message, Self);

    private sealed class Load
    {
        public static readonly Load Instance = new();
    }

    // Every percent, not every layer of a small model.
    private sealed class Reporter(StageActor stage) : IProgress<LoadProgress>
    {
        private double _reported;

        public void Report(LoadProgress value)
        {
            if (value.Fraction < _reported + 0.01)
                return;
            _reported = value.Fraction;
            StageMessages.PrepareStage assignment = stage._life.Newest;
            stage.Tell(new StageMessages.StageLoading(assignment.ReplicaId, assignment.Epoch, assignment.Stage, value.Fraction));
        }
    }

    // Every percent of what is fetched; called by threads that are not the actor's.
    private sealed class FetchReporter(StageMessages.PrepareStage assignment, IActorRef self) : IProgress<double>
    {
        private readonly Lock _lock = new();
        private double _reported;

        public void Report(double value)
        {
            lock (_lock)
            {
                if (value < _reported + 0.01)
                    return;
                _reported = value;
            }

            assignment.Replica.Tell(new StageMessages.StageLoading(assignment.ReplicaId, assignment.Epoch, assignment.Stage, value), self);
        }
    }
}
