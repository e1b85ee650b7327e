using System.Net;
using Akka.Actor;
using Llama3Cluster.Actors.Hosting;
using Llama3Cluster.Actors.Links;
using Llama3Cluster.Actors.Protocol;
using Llama3Cluster.Shards.Execution;
using Llama3Cluster.Shards.Planning;
using Llama3Cluster.Shards.Slices;
using Microsoft.Extensions.Logging;

namespace Llama3Cluster.Actors.Stages;

/// <summary>
/// One slice of the model on one device. It loads the slice, then carries the steps of its epoch through it and hands them on: to
/// the next stage, or as sampled tokens to the replica. It has a thread of its own (pinned dispatcher): a step blocks it.
/// </summary>
/// <remarks>
/// States: loading, then standing by for an epoch, then active in it. Steps of another epoch are dropped and counted. Any error
/// ends the epoch: the replica is told, and the stage waits to be given a newer one.
/// </remarks>
public sealed class StageActor : UntypedActor
{
    private static long _staleFrames;

    private readonly NodeContext _node;
    private readonly StageDevice _device;
    private readonly CancellationToken _retired;
    private readonly ILogger _log;
    private StageMessages.PrepareStage _assignment;
    private StageExecutor? _executor;
    private IActorRef? _next;
    private IActorRef? _link;
    private bool _failed;

    /// <summary>Use <see cref="Props"/>.</summary>
    public StageActor(NodeContext node, StageDevice device, StageMessages.PrepareStage assignment, CancellationToken retired)
    {
        _node = node;
        _log = node.Loggers.CreateLogger<StageActor>();
        _device = device;
        _assignment = assignment;
        _retired = retired;
    }

    /// <summary>Frames of other epochs that this process has dropped; a fenced stage's frames show up here.</summary>
    public static long StaleFrames => Interlocked.Read(ref _staleFrames);

    /// <summary>How to make one.</summary>
    /// <param name="node">The node's shared parts.</param>
    /// <param name="device">The device it computes on, which no other stage uses meanwhile.</param>
    /// <param name="assignment">What to load, and for which epoch.</param>
    /// <param name="retired">Cancelled when the stage is not wanted any more: ends a load early.</param>
    public static Props Props(NodeContext node, StageDevice device, StageMessages.PrepareStage assignment, CancellationToken retired) =>
        Akka.Actor.Props.Create(() => new StageActor(node, device, assignment, retired)).WithDispatcher("llama3cluster.stage-dispatcher");

    /// <summary>The stage keeps its weights and begins a newer epoch with empty caches.</summary>
    /// <param name="Assignment">The same slice and limits, with the new epoch.</param>
    public sealed record BeginEpoch(StageMessages.PrepareStage Assignment) : INoSerializationVerificationNeeded;

    /// <summary>Connect the stage to where its results go.</summary>
    /// <param name="Epoch">The epoch that this is for.</param>
    /// <param name="Local">The receiving actor, when it is in this process.</param>
    /// <param name="Remote">How to reach it otherwise.</param>
    public sealed record Connect(long Epoch, IActorRef? Local, StageMessages.ConnectStage Remote) : INoSerializationVerificationNeeded;

    /// <inheritdoc/>
    protected override void PreStart()
    {
        Tell(new StageMessages.StageLoading(_assignment.ReplicaId, _assignment.Epoch, _assignment.Stage, 0));
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
            case BeginEpoch begin when begin.Assignment.Epoch > _assignment.Epoch:
                Begin(begin.Assignment);
                break;
            case Connect connect when connect.Epoch == _assignment.Epoch:
                ConnectNext(connect);
                break;
            case LinkUp up when up.Address.Epoch == _assignment.Epoch && Sender.Equals(_link):
                _next = _link;
                Tell(new StageMessages.StageConnected(_assignment.ReplicaId, _assignment.Epoch, _assignment.Stage));
                break;
            case LinkDown down when down.Address.Epoch == _assignment.Epoch:
                Fail(down.Reason);
                break;
            case LinkUp or LinkDown or BeginEpoch or Connect:
                break; // of an epoch that is over
            default:
                Unhandled(message);
                break;
        }
    }

    /// <inheritdoc/>
    protected override void PostStop()
    {
        Disconnect();
        _node.Listener.Tell(new LinkListenerActor.Unregister(OwnAddress));
        _executor?.Dispose();
    }

    private LinkAddress OwnAddress => new(_assignment.ReplicaId, _assignment.Epoch, _assignment.Stage);

    private void LoadSlice()
    {
        StageMessages.ReplicaLimits limits = _assignment.Limits;
        try
        {
            var options = new SliceOptions(
                limits.MaxRows, limits.MaxSequences, Math.Min(limits.MaxRows, limits.MaxSequences), limits.ContextLength, limits.KvBlocks,
                limits.KvFormat);
            FetchWeights(_assignment);
            var slice = ModelSlice.Load(_node.Options.Model, _device.Device, _assignment.Slice, options, new Reporter(this), _retired);
            _executor = new StageExecutor(slice, limits.MaxSequences);
            _log.LogInformation("stage {Stage} of {Replica} holds {Slice}: {Memory} on {Device}", _assignment.Stage,
                _assignment.ReplicaId, _assignment.Slice, slice.Memory, _device.Device.Name);
            Prepared();
        }
        catch (OperationCanceledException)
        {
            Context.Stop(Self);
        }
        catch (Exception error)
        {
            _log.LogError(error, "stage {Stage} of {Replica} could not load {Slice}", _assignment.Stage, _assignment.ReplicaId, _assignment.Slice);
            Fail(error.Message);
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

    private void Begin(StageMessages.PrepareStage assignment)
    {
        Disconnect();
        _node.Listener.Tell(new LinkListenerActor.Unregister(OwnAddress));
        _assignment = assignment;
        _failed = false;
        if (_executor is null)
        {
            LoadSlice();
            return;
        }

        _executor.Reset();
        Prepared();
    }

    private void Prepared()
    {
        _node.Listener.Tell(new LinkListenerActor.Register(OwnAddress, Self));
        Tell(new StageMessages.StagePrepared(
            _assignment.ReplicaId, _assignment.Epoch, _assignment.Stage, _node.DataEndpoint.Address.ToString(), _node.DataEndpoint.Port));
    }

    private void ConnectNext(Connect connect)
    {
        Disconnect();
        if (connect.Local is not null)
        {
            _next = connect.Local;
            Tell(new StageMessages.StageConnected(_assignment.ReplicaId, _assignment.Epoch, _assignment.Stage));
            return;
        }

        var address = new LinkAddress(_assignment.ReplicaId, _assignment.Epoch, connect.Remote.NextStage);
        _link = Context.ActorOf(LinkActor.Props(
            _node.Links, new IPEndPoint(IPAddress.Parse(connect.Remote.DataHost), connect.Remote.DataPort), address, Self));
    }

    private void Compute(StepFrame frame)
    {
        if (frame.Step.Epoch != _assignment.Epoch || _next is null || _executor is null || _failed)
        {
            Interlocked.Increment(ref _staleFrames);
            frame.Release();
            return;
        }

        try
        {
            _executor.Run(frame.Step, frame.Payload, frame.Format);
            if (_assignment.Slice.HasHead)
                SendSampled(frame);
            else
                SendOnward(frame);
        }
        catch (Exception error) when (error is not OutOfMemoryException)
        {
            frame.Release();
            Fail(error.Message);
        }
    }

    private void SendOnward(StepFrame frame)
    {
        int bytes = _executor!.PayloadBytes(frame.Step.RowCount, frame.Format);
        _executor.GetOutput(frame.PreparePayload(bytes), frame.Format);
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

    private void Fail(string reason)
    {
        if (_failed)
            return;
        _failed = true;
        Disconnect();
        Tell(new StageMessages.StageFailed(_assignment.ReplicaId, _assignment.Epoch, _assignment.Stage, reason));
    }

    private void Disconnect()
    {
        if (_link is not null)
            Context.Stop(_link);
        _link = _next = null;
    }

    private void Tell(IReplicaMessage message) => _assignment.Replica.Tell(message, Self);

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
            StageMessages.PrepareStage assignment = stage._assignment;
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
