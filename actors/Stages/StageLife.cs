using Llama3Cluster.Actors.Protocol;

namespace Llama3Cluster.Actors.Stages;

/// <summary>
/// The epochs of one stage: the one it serves, and the one it stands by for. It only ever goes on to a larger one, so whatever an
/// older plan, replica or pipeline still sends is refused. Pure: no actors, no clock.
/// </summary>
internal sealed class StageLife
{
    private bool _serves;
    private long _nextStep;

    /// <summary>A stage that stands by for its first epoch.</summary>
    public StageLife(StageMessages.PrepareStage first) => Standby = first;

    /// <summary>The epoch that it serves or, once that is over, served last; null before the first.</summary>
    public StageMessages.PrepareStage? Serving { get; private set; }

    /// <summary>The epoch that it stands by for; null when it was begun.</summary>
    public StageMessages.PrepareStage? Standby { get; private set; }

    /// <summary>The newest assignment.</summary>
    public StageMessages.PrepareStage Newest => Standby ?? Serving!;

    /// <summary>Stands by for a newer epoch.</summary>
    /// <returns>Whether it is newer than all before.</returns>
    public bool Prepare(StageMessages.PrepareStage assignment)
    {
        if (assignment.Epoch <= Newest.Epoch)
            return false;
        Standby = assignment;
        return true;
    }

    /// <summary>Begins the epoch that it stands by for; the one before is over.</summary>
    /// <returns>Whether that is the one that it stands by for.</returns>
    public bool Begin(long epoch)
    {
        if (Standby?.Epoch != epoch)
            return false;
        (Serving, Standby, _serves, _nextStep) = (Standby, null, true, 0);
        return true;
    }

    /// <summary>Whether a step of an epoch may be computed.</summary>
    public bool Accepts(long epoch) => _serves && Serving!.Epoch == epoch;

    /// <summary>
    /// Takes the number of a step that is about to be computed. Every stage computes every step of an epoch, in their order: after one
    /// that was lost or repeated, blocks that sequences share would not hold what the others' do.
    /// </summary>
    /// <returns>Whether it is the next one.</returns>
    public bool Follows(long step) => step == _nextStep && _nextStep++ >= 0;

    /// <summary>The epoch that it serves cannot go on.</summary>
    /// <returns>Whether it was serving that epoch.</returns>
    public bool End(long epoch)
    {
        bool was = Accepts(epoch);
        if (was)
            _serves = false;
        return was;
    }
}
